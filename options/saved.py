"""A run's options on disk: text for people, JSON for programs, and reading them for a test or a continued run."""

import argparse
import json
import math
import os
import secrets
from typing import Any

import data
from data.image_names import image_rule, is_shard
from options import checks
from options.parser import OptionParser
from util.files import write_text
from util.flags import Sides
from util.run import folder as run_folder


def draw_seed() -> int:
    """A random seed, small enough to be typed again."""
    return secrets.randbelow(2**31)


def as_text(opt: argparse.Namespace, parser: OptionParser) -> str:
    """The options as ``key: value`` lines, sorted: first those that differ from their defaults, which stand behind."""
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
    """``<mode>_opt.txt`` and ``<mode>_opt.json`` in the run's folder; a test never touches the training's.

    `as_given`: values of flags before they were scaled; a continued run scales them again.
    """
    opt = argparse.Namespace(**{**vars(opt), **dict(as_given)})
    folder = os.path.join(opt.checkpoints_dir, opt.name)
    mode = "train" if opt.isTrain else "test"
    write_text(os.path.join(folder, f"{mode}_opt.txt"), as_text(opt, parser) + "\n")
    write_text(
        os.path.join(folder, f"{mode}_opt.json"),
        json.dumps({"format": run_folder.FORMAT, "options": plain(opt)}, indent=1),
    )


def plain(opt: argparse.Namespace) -> dict[str, Any]:
    """The options as the JSON file holds them."""
    return {key: _plain(value) for key, value in sorted(vars(opt).items()) if key != "visualizer"}


def _plain(value):
    """JSON has no infinities and no devices: they are stored as text, and so is a size of two sides."""
    if isinstance(value, (list, tuple)) and not isinstance(value, Sides):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, (bool, int, str)) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return str(value)


def read(parser: OptionParser) -> dict[str, Any] | None:
    """The options of the trained run that this command line names; None if it has no options file."""
    opt = parser.parse_known_args()[0]
    name = checks.full_name(opt)
    checks.check_name(name)
    return run_folder.read(opt.checkpoints_dir, name)


def given_values(trained: dict[str, Any]) -> dict[str, Any]:
    """The options of a run that have a value."""
    return {key: value for key, value in trained.items() if value is not None}


def for_test(trained: dict[str, Any], parser: OptionParser) -> dict[str, Any]:
    """The trained options, with the data set that suits the test's --model and --dataroot.

    ``single`` takes the place of a built-in data set where the images lie directly in a folder without phases; a data
    set of a user's own is never replaced.
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
    """Whether images (or tar files of images) lie directly in the folder, and no folder in it belongs to a phase."""
    if not dataroot or not os.path.isdir(dataroot):
        return False
    names = os.listdir(dataroot)
    phases = ("train", "val", "test", phase)
    if any(name.startswith(phases) and os.path.isdir(os.path.join(dataroot, name)) for name in names):
        return False
    return any(image_rule()(name) or is_shard(name) for name in names)
