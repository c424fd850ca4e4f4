"""Checks beyond argparse: words from tables, sizes that must fit together, names of runs."""

import argparse
import os
import re
from typing import Any

import data
import models
from data.flags import PREPROCESS
from models.tables import (
    DISCRIMINATORS,
    FIXED_SIZE,
    GAN_MODES,
    GENERATORS,
    INITS,
    NEVER_WORKED,
    NORMS,
    PROJECTORS,
    SAMPLERS,
    SCHEDULES,
    stride_of,
)
from options import loss_checks
from options.machine_flags import CAPTURING, COMPILING, PRECISIONS
from options.old_flags import OLD_VALUES
from options.parser import OptionParser
from options.training_flags import NAN_POLICIES
from util.errors import InputError, check_word, nearest
from util.flags import as_size, sides
from util.metrics.table import OF_PHOTOS, need_judge, parse
from util.run import folder as run_folder

CHOICES = {
    "netG": GENERATORS,
    "netD": DISCRIMINATORS,
    "netF": SAMPLERS,
    "norm": NORMS,
    "normG": NORMS,
    "normD": NORMS,
    "init_type": INITS,
    "gan_mode": GAN_MODES,
    "lr_policy": SCHEDULES,
    "preprocess": PREPROCESS,
    "CUT_mode": ("CUT", "cut", "FastCUT", "fastcut"),
    "DCL_mode": ("DCL", "dcl", "SIM", "sim"),
    "direction": ("AtoB", "BtoA"),
    "results_layout": ("flat", "folders"),
}


def check(opt: argparse.Namespace, given: set[str]) -> None:
    """Check all options that can be checked before data and networks are created. Raises InputError."""
    built_in = models.is_built_in(opt.model) and data.is_built_in(opt.dataset_mode)
    check_name(opt.name)
    if not re.fullmatch(r"[A-Za-z0-9_-]+", opt.epoch):
        raise InputError(f"--epoch {opt.epoch}: give the number of an epoch, latest, or best")
    if not re.fullmatch(r"[^/\\\0-\x1f]+", opt.phase) or opt.phase in (".", ".."):
        raise InputError(f"--phase {opt.phase}: give the name of a folder in --dataroot, without slashes")
    check_word("compile", opt.compile, COMPILING)
    if opt.precision is not None:
        check_word("precision", opt.precision, PRECISIONS)
    if built_in:  # plug-ins may accept other words and sizes
        check_words(opt)
        check_sizes(opt, given)
        print_ignored(opt, given)
    if opt.isTrain:
        check_word("capture", opt.capture, CAPTURING)
        loss_checks.check(opt, built_in, given)
        check_schedule(opt, built_in)
        check_evaluation(opt, built_in)
    elif opt.suffix:
        raise InputError("--suffix is for training; test.py takes the full name of the run in --name")
    elif opt.metrics is not None:
        need_judge(parse(opt.metrics, "--metrics", OF_PHOTOS), opt.judge, "--metrics")


def check_words(opt: argparse.Namespace) -> None:
    for name, allowed in CHOICES.items():
        value = getattr(opt, name, None)
        if value is None or value in allowed:
            continue
        if value in NEVER_WORKED:
            raise InputError(f"--{name} {value}: {NEVER_WORKED[value]}; choose {', '.join(allowed)}")
        if (name, value) in OLD_VALUES:
            raise InputError(f"--{name} {value}: use --{name} {OLD_VALUES[name, value]}")
        check_word(name, value, allowed)


def check_sizes(opt: argparse.Namespace, given: set[str]) -> None:
    """Check --load_size against --crop_size, and the size of the generator's input against its stride."""
    size, flag = None, ""
    if "crop" in opt.preprocess or "patch" in opt.preprocess:
        size, flag = opt.crop_size, "--crop_size"
        scaled = any(word in opt.preprocess for word in ("resize", "scale"))
        load_size = opt.load_size if opt.isTrain or "load_size" in given else opt.crop_size
        if scaled and any(loaded < cropped for loaded, cropped in zip(sides(load_size), sides(opt.crop_size))):
            raise InputError(
                f"--load_size {load_size}: smaller than --crop_size {opt.crop_size}; give at least {opt.crop_size}"
            )
    elif opt.preprocess == "resize":
        size, flag = opt.load_size, "--load_size"
    stride = stride_of(opt)
    # A test pads images of other sizes. A training does not, because padding would waste time in every step.
    if size is not None and opt.isTrain and any(side % stride for side in sides(size)):
        down, up = (as_size(*(round_side(side, stride) for side in sides(size))) for round_side in (_below, _above))
        suitable = f"{down} or {up}" if all(sides(down)) else up
        raise InputError(f"{flag} {size}: --netG {opt.netG} needs a multiple of {stride}; try {suitable}")
    if opt.isTrain and opt.netD in FIXED_SIZE:
        check_size_of_D(opt, size, flag)
    if opt.isTrain and size is not None:
        loss_checks.check_scales(opt, size, flag)


def check_size_of_D(opt: argparse.Namespace, size: Any, flag: str) -> None:
    """Check the size of the images of StyleGAN2's discriminator: a power of two, because it halves them to 4x4."""
    side, name = opt.stylegan2_size, "--stylegan2_size"
    if opt.netD == "tilestylegan2" and opt.D_patch_size is not None:
        side, name = opt.D_patch_size, "--D_patch_size"
        if size is not None and any(each % side for each in sides(size)):
            raise InputError(f"{name} {side}: {flag} {size} is no multiple of it; change one of the two")
    elif size is not None and not all(side <= each < 1.25 * side for each in sides(size)):
        raise InputError(
            f"{flag} {size}: --netD {opt.netD} takes images of {side}x{side} (see --stylegan2_size); give "
            f"{flag} {side}, or --netD patchstylegan2, which takes every size"
        )
    if side & (side - 1):
        raise InputError(f"{name} {side}: --netD {opt.netD} needs a power of two, such as 64 or 128")


def print_ignored(opt: argparse.Namespace, given: set[str]) -> None:
    """Print a line for each given flag that the chosen networks do not use."""
    tables = {"netG": GENERATORS, **({"netD": DISCRIMINATORS, "netF": PROJECTORS} if opt.isTrain else {})}
    for flag, table in tables.items():
        ignored = table[getattr(opt, flag)].ignores if hasattr(opt, flag) else ()
        for name in sorted(given.intersection(ignored)):
            print(f"--{name}: has no effect on --{flag} {getattr(opt, flag)}")


def _below(side: int, stride: int) -> int:
    return side // stride * stride


def _above(side: int, stride: int) -> int:
    return -(-side // stride) * stride


def check_schedule(opt: argparse.Namespace, built_in: bool) -> None:
    last = opt.n_epochs + opt.n_epochs_decay
    if opt.epoch_count > last:
        raise InputError(
            f"--epoch_count {opt.epoch_count}: no epoch is left to train, because the last epoch is --n_epochs "
            f"{opt.n_epochs} + --n_epochs_decay {opt.n_epochs_decay} = {last}; increase one of them"
        )
    if opt.lr_policy == "plateau" and built_in and opt.eval_metrics is None:
        raise InputError("--lr_policy plateau: it follows a metric; give --eval_freq N --eval_metrics A, or use linear")


def check_evaluation(opt: argparse.Namespace, built_in: bool) -> None:
    """Check the flags of the evaluation in training, which --eval_metrics switches on."""
    if opt.eval_metrics is None:
        for name in ("eval_freq", "best_metric") if built_in else ():
            if getattr(opt, name) is not None:
                raise InputError(f"--{name} {getattr(opt, name)}: name the metrics with --eval_metrics")
        return
    names = parse(opt.eval_metrics, "--eval_metrics", OF_PHOTOS)
    if opt.eval_freq is None:
        raise InputError(f"--eval_metrics {opt.eval_metrics}: give the images between two evaluations with --eval_freq")
    need_judge(names, opt.judge, "--eval_metrics")
    if opt.best_metric is not None and opt.best_metric not in names:
        raise InputError(f"--best_metric {opt.best_metric}: not in --eval_metrics {opt.eval_metrics}; add it there")


def check_start(opt: argparse.Namespace) -> None:
    """Check --on_nan, and that a run is either started with --init_from or continued (there with --pretrained_name)."""
    check_word("on_nan", opt.on_nan, NAN_POLICIES)
    if opt.pretrained_name and not opt.continue_train:
        raise InputError(
            f"--pretrained_name {opt.pretrained_name}: is read only with --continue_train; to start a run from these "
            f"weights, give --init_from {os.path.join(opt.checkpoints_dir, opt.pretrained_name)}"
        )
    if opt.init_from is None:
        return
    if opt.continue_train:
        raise InputError(
            f"--init_from {opt.init_from}, --continue_train: a continued run has its own weights; give only one of the "
            "two flags"
        )
    if not os.path.exists(opt.init_from):
        raise InputError(f"--init_from {opt.init_from}: there is no such file or folder of a run")


def check_name(name: str) -> None:
    """Raise InputError unless the name of a run is a folder below --checkpoints_dir, such as a or a/b."""
    parts = re.split(r"[/\\]", name)
    if (
        not name
        or os.path.isabs(name)
        or any(part in ("", ".", "..") for part in parts)
        or re.search(r"[\0-\x1f:]", name)
    ):
        raise InputError(f"--name {name!r}: give a plain name, or a/b for a sub-folder of --checkpoints_dir")


def full_name(opt: argparse.Namespace) -> str:
    """--name, followed by the filled --suffix."""
    return f"{opt.name}_{fill_suffix(opt.suffix, opt)}" if opt.suffix else opt.name


def fill_suffix(suffix: str, opt: argparse.Namespace) -> str:
    """The suffix with ``{option}`` or ``{option:format}`` replaced by the option's value."""

    def value(match):
        name, spec = match.group(1), match.group(2) or ""
        if name not in vars(opt):
            raise InputError(f"--suffix {suffix}: there is no option {name};{nearest(name, vars(opt))}".rstrip(";"))
        try:
            return format(getattr(opt, name), spec)
        except (TypeError, ValueError):
            raise InputError(f"--suffix {suffix}: {name} can't be formatted as '{spec}'") from None

    return re.sub(r"\{(\w+)(?::([^{}]*))?\}", value, suffix)


def check_run_exists(opt: argparse.Namespace, name: str, trained: dict[str, Any] | None) -> None:
    """Raise InputError unless a run to test or to continue has options, or files of another program."""
    folder = os.path.join(opt.checkpoints_dir, name)
    if trained or (os.path.isdir(folder) and os.listdir(folder)):
        return
    flag = "--pretrained_name" if opt.isTrain and opt.pretrained_name else "--name"
    mend = "; leave out --continue_train to start this run" if opt.isTrain and flag == "--name" else ""
    raise InputError(f"{flag} {name}: {folder}: {run_folder.no_run(opt.checkpoints_dir, name)}{mend}")


def check_against_trained(
    opt: argparse.Namespace, given: set[str], trained: dict[str, Any] | None, parser: OptionParser
) -> None:
    """Refuse a given flag of scope `network` that differs from the trained run, except ``--model test``."""
    for name in parser.names_with(lambda flag: flag.scope == "network"):
        if name not in given or not trained or name not in trained or (name == "model" and opt.model == "test"):
            continue
        if str(getattr(opt, name)) != str(trained[name]):
            raise InputError(
                f"--{name} {getattr(opt, name)}: the run '{opt.name}' was trained with --{name} {trained[name]}; "
                f"leave the flag out"
            )
