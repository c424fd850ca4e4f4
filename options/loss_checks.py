"""Checks of the flags of the losses: words of --diffaugment, and terms that do not fit the --gan_mode."""

import argparse

from models.tables import AUGMENTATIONS
from util.errors import InputError, check_word


def check(opt: argparse.Namespace, built_in: bool) -> None:
    """Raises InputError. `built_in` is False where the model or the data set is a plug-in's."""
    if opt.lambda_gp and opt.gan_mode != "wgangp" and built_in:
        raise InputError(f"--lambda_gp {opt.lambda_gp}: the penalty belongs to --gan_mode wgangp, not {opt.gan_mode}")
    for word in opt.diffaugment.split(",") if opt.diffaugment is not None else ():
        check_word("diffaugment", word, AUGMENTATIONS)
