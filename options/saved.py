"""Write a run's options as text and as JSON, and read them for a test or a continued run."""

import argparse
import json
import os
import secrets
from typing import Any

import data
from data.image_names import image_rule, is_shard
from options import checks
from options.parser import OptionParser
from util.files import write_text
from util.flags import plain_options
from util.run import folder as run_folder


def draw_seed() -> int:
    """A random seed of at most 31 bits, which is short enough to type."""
    return secrets.randbelow(2**31)


def as_text(opt: argparse.Namespace, parser: OptionParser) -> str:
    """The options as sorted ``key: value`` lines: first those that differ from their defaults, with the default."""
    changed, usual, flags = [], [], parser.names()
    for key, value in sorted(vars(opt).items()):
        default, line = parser.get_default(key), f"{key:>25}: {value!s:<30}"
        if key in flags and str(value) != str(default):
            changed.append(f"{line}\t[default: {default}]")
        else:
            usual.append(line)
    head, end = "----------------- Options ---------------", "----------------- End -------------------"
    return "\n".join([head, *changed, *([""] if changed else []), *usual, end])


def write(opt: argparse.Namespace, parser: OptionParser, as_given: dict[str, Any] | tuple = ()) -> None:
    """Write ``<mode>_opt.txt`` and ``<mode>_opt.json`` into the run's folder; <mode> is train or test.

    `as_given`: values of flags before --scale_lr scaled them; a continued run scales them again.
    """
    # The framework's values of flags that a user's file declares with other meanings.
    own = argparse.Namespace(**getattr(type(opt), "own", {}))  # not of the instance: a flag may be called own
    opt = argparse.Namespace(**{**vars(opt), **dict(as_given)})
    folder = os.path.join(opt.checkpoints_dir, opt.name)
    mode = "train" if opt.isTrain else "test"
    write_text(os.path.join(folder, f"{mode}_opt.txt"), as_text(opt, parser) + "\n")
    write_text(
        os.path.join(folder, f"{mode}_opt.json"),
        json.dumps({"format": run_folder.FORMAT, "options": plain_options(opt), "own": plain_options(own)}, indent=1),
    )


def read(parser: OptionParser) -> dict[str, Any] | None:
    """The options of the run that the command line names; None if it has no options file."""
    opt = parser.parse_known_args()[0]
    name = checks.full_name(opt)
    checks.check_name(name)
    return run_folder.read(opt.checkpoints_dir, name)


def given_values(trained: dict[str, Any]) -> dict[str, Any]:
    """The options of a run that have a value."""
    return {key: value for key, value in trained.items() if value is not None}


def for_test(trained: dict[str, Any], parser: OptionParser) -> dict[str, Any]:
    """The trained options, with the data set that suits the test's --model and --dataroot.

    ``single`` replaces a built-in data set if images are directly in --dataroot and it has no folders of phases. A
    user's data set is never replaced.
    """
    trained = given_values(trained)
    parser.set_defaults(model=trained["model"])
    opt = parser.parse_known_args()[0]
    mode = trained["dataset_mode"]
    if opt.model != trained["model"]:  # --model test has a data set of its own
        trained.pop("dataset_mode", None)
    elif data.is_built_in(mode) and not data.reads_plain_folders(mode) and _is_plain_folder(opt.dataroot, opt.phase):
        trained["dataset_mode"] = "single"
    return trained


def _is_plain_folder(dataroot, phase):
    """Whether images (or tar files of images) are directly in the folder, and it has no folder of a phase."""
    if not dataroot or not os.path.isdir(dataroot):
        return False
    names = os.listdir(dataroot)
    phases = ("train", "val", "test", phase)
    if any(name.startswith(phases) and os.path.isdir(os.path.join(dataroot, name)) for name in names):
        return False
    return any(image_rule()(name) or is_shard(name) for name in names)
