"""A run's options on disk: the familiar text for people, JSON for programs, and what a test takes from it."""

import argparse
import json
import math
import os
import secrets

import data
from options import checks
from util.files import write_text
from util.run import folder as run_folder

# What belongs to one invocation or one machine; everything else a test takes over from the trained run.
NOT_RESTORED = (
    "name checkpoints_dir dataroot suffix easy_label device gpu_ids verbose epoch load_iter phase num_threads "
    "batch_size drop_last serial_batches no_flip load_size max_dataset_size display_winsize isTrain "
    "use_wandb use_tensorboard wandb_project_name results_dir results_layout num_test "
    "attr_path celeba_image_dir rafd_image_dir precision compile channels_last"
).split()

# The same for a run that is continued.
NOT_RESUMED = (
    "name checkpoints_dir suffix device gpu_ids verbose epoch load_iter isTrain continue_train overwrite max_time "
    "pretrained_name init_from"
).split()


def draw_seed():
    """A seed nobody chose; small enough to be typed again."""
    return secrets.randbelow(2**31)


def as_text(opt, parser):
    """The options as a block of ``key: value`` lines, sorted, with the default behind each value that differs."""
    lines = ["----------------- Options ---------------"]
    for key, value in sorted(vars(opt).items()):
        default = parser.get_default(key)
        note = "" if str(value) == str(default) else f"\t[default: {default}]"
        lines.append(f"{key:>25}: {value!s:<30}{note}")
    return "\n".join([*lines, "----------------- End -------------------"])


def write(opt, parser, as_given=()):
    """``<mode>_opt.txt`` and ``<mode>_opt.json`` in the run's folder; a test never touches the training's.

    `as_given`: values of flags that the run works with scaled; a run that is continued scales them anew.
    """
    opt = argparse.Namespace(**{**vars(opt), **dict(as_given)})
    folder = os.path.join(opt.checkpoints_dir, opt.name)
    mode = "train" if opt.isTrain else "test"
    plain = {key: _plain(value) for key, value in sorted(vars(opt).items()) if key != "visualizer"}
    write_text(os.path.join(folder, f"{mode}_opt.txt"), as_text(opt, parser) + "\n")
    write_text(
        os.path.join(folder, f"{mode}_opt.json"), json.dumps({"format": run_folder.FORMAT, "options": plain}, indent=1)
    )


def _plain(value):
    """JSON has no infinities and no devices: they are kept as text."""
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, (bool, int, str)) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return str(value)


def read(parser):
    """The trained run that this command line names."""
    opt = parser.parse_known_args()[0]
    name = checks.full_name(opt)
    checks.check_name(name)
    return run_folder.read(opt.checkpoints_dir, name)


def for_resume(trained):
    """Those of a run's options that are the defaults when it is continued."""
    return {key: value for key, value in trained.items() if key not in NOT_RESUMED and value is not None}


def for_test(trained, parser):
    """Those of the trained options that are a test's defaults."""
    restored = {key: value for key, value in trained.items() if key not in NOT_RESTORED and value is not None}
    parser.set_defaults(model=trained["model"])
    opt = parser.parse_known_args()[0]
    if opt.model != trained["model"]:  # --model test brings its own data mode
        restored.pop("dataset_mode", None)
    elif not _has_phase_folder(opt.dataroot, opt.phase) and not data.reads_plain_folders(restored["dataset_mode"]):
        restored["dataset_mode"] = "single"
    return restored


def _has_phase_folder(dataroot, phase):
    names = (phase, f"{phase}A", f"{phase}B", *(("val", "valA", "valB") if phase == "test" else ()))
    return not dataroot or any(os.path.isdir(os.path.join(dataroot, name)) for name in names)
