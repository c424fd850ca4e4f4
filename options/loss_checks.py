"""Checks of the flags of the losses: words of --diffaugment, and terms that do not fit the --gan_mode."""

import argparse

import models
from models.tables import AUGMENTATIONS, WITH_LABELS
from util.errors import InputError, check_word


def check(opt: argparse.Namespace, built_in: bool, given: set[str]) -> None:
    """Raises InputError. `built_in`: no plug-in is used; `given`: the flags of the command line."""
    if opt.lambda_gp and opt.gan_mode != "wgangp" and built_in:
        raise InputError(f"--lambda_gp {opt.lambda_gp}: the penalty belongs to --gan_mode wgangp, not {opt.gan_mode}")
    for word in opt.diffaugment.split(",") if opt.diffaugment is not None else ():
        check_word("diffaugment", word, AUGMENTATIONS)
    if opt.label_smoothing and opt.gan_mode not in WITH_LABELS and built_in:
        raise InputError(
            f"--label_smoothing {opt.label_smoothing}: --gan_mode {opt.gan_mode} has no labels; choose "
            f"{' or '.join(WITH_LABELS)}, or leave it out"
        )
    if "lazy_r1" in given and not opt.lambda_r1 and built_in:
        raise InputError(f"--lazy_r1 {opt.lazy_r1}: there is no R1 without a weight; give --lambda_r1, for example 10")
    say_unread(opt, given)


def say_unread(opt: argparse.Namespace, given: set[str]) -> None:
    """A plug-in's loss may be its own: whether it reads a flag of a loss can't be seen from outside."""
    flags = sorted(given & {"lambda_r1", "label_smoothing"})
    if flags and not models.is_built_in(opt.model):
        print(
            f"{', '.join(f'--{name}' for name in flags)}: --model {opt.model} is not built in; no effect unless its "
            "discriminator's loss is that of a built-in model, or reads the flag itself"
        )
