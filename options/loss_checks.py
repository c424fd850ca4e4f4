"""Checks of the flags of the losses and of --num_D: terms that do not fit the --gan_mode or the networks."""

import argparse
from typing import Any

import models
from models.tables import AUGMENTATIONS, DISCRIMINATORS, PERCEPTUAL, WITH_LABELS, smallest_for_D
from util.errors import InputError, check_word
from util.flags import sides


def check(opt: argparse.Namespace, built_in: bool, given: set[str]) -> None:
    """Raises InputError. `built_in`: model and data set are our own; `given`: the flags of the command line."""
    if opt.lambda_gp and opt.gan_mode != "wgangp" and built_in:
        raise InputError(
            f"--lambda_gp {opt.lambda_gp}: --gan_mode {opt.gan_mode} has no gradient penalty; use --gan_mode wgangp, "
            "or leave the flag out"
        )
    for word in opt.diffaugment.split(",") if opt.diffaugment is not None else ():
        check_word("diffaugment", word, AUGMENTATIONS)
    if opt.label_smoothing and opt.gan_mode not in WITH_LABELS and built_in:
        raise InputError(
            f"--label_smoothing {opt.label_smoothing}: --gan_mode {opt.gan_mode} has no labels; choose "
            f"{' or '.join(WITH_LABELS)}, or leave the flag out"
        )
    if "lazy_r1" in given and not opt.lambda_r1 and built_in:
        raise InputError(f"--lazy_r1 {opt.lazy_r1}: R1 has no weight; give --lambda_r1, for example 10")
    if built_in:
        check_discriminator(opt)
        check_perceptual(opt, given)
    print_unread(opt, given)


def check_discriminator(opt: argparse.Namespace) -> None:
    """Refuse several scales, and feature matching, for a discriminator without feature maps."""
    able = [word for word, row in DISCRIMINATORS.items() if row.features]
    for name, wanted in (("num_D", opt.num_D > 1), ("lambda_feat", getattr(opt, "lambda_feat", 0) > 0)):
        if wanted and opt.netD not in able:
            raise InputError(
                f"--{name} {getattr(opt, name)}: --netD {opt.netD} is not a PatchGAN, whose feature maps and scales it "
                f"needs; choose --netD {', '.join(able)}, or leave --{name} out"
            )


def check_scales(opt: argparse.Namespace, size: Any, flag: str) -> None:
    """Refuse images that are too small for the last of --num_D scales: the discriminator would return no logit."""
    if opt.num_D > 1 and DISCRIMINATORS[opt.netD].features and min(sides(size)) < smallest_for_D(opt):
        raise InputError(
            f"--num_D {opt.num_D}: {flag} {size} is too small for {opt.num_D} scales, it must be at least "
            f"{smallest_for_D(opt)}; increase it, or give a smaller --num_D"
        )


def check_perceptual(opt: argparse.Namespace, given: set[str]) -> None:
    if not hasattr(opt, "lambda_perceptual"):  # a model without true images
        return
    check_word("perceptual", opt.perceptual, PERCEPTUAL)
    for name in sorted(given & {"perceptual", "perceptual_weights"}):
        if not opt.lambda_perceptual:
            value = getattr(opt, name)
            raise InputError(f"--{name} {value}: the perceptual loss has no weight; give --lambda_perceptual")


def print_unread(opt: argparse.Namespace, given: set[str]) -> None:
    """Print that a plug-in may ignore flags of the losses: its loss may be its own."""
    # If the plug-in redefines a flag, getattr gives our default.
    flags = sorted(name for name in given & {"lambda_r1", "label_smoothing"} if getattr(opt, name))
    if flags and not models.is_built_in(opt.model):
        print(
            f"{', '.join(f'--{name}' for name in flags)}: no effect, unless --model {opt.model}, which is not built "
            "in, uses the discriminator loss of a built-in model or reads the flag"
        )
