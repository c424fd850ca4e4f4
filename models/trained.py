"""The options with which a trained run translates images: those of its training, changed to those of a test."""

from __future__ import annotations

import argparse
import os

import models
from util.errors import InputError
from util.flags import size
from util.namespace import Options
from util.numerics import device as devices
from util.run import folder as run_folder

# Options that differ from those of the training, or that a training does not have.
AT_TEST = {
    **{"isTrain": False, "phase": "test", "num_test": float("inf"), "eval": False, "model_suffix": "", "load_iter": 0},
    **{"precision": "fp32", "compile": "none", "channels_last": False, "verbose": False, "serial_batches": True},
    **{"no_flip": True, "batch_size": 1, "num_threads": 0, "gpu_ids": [], "continue_train": False, "init_from": None},
}


def options_of(run: str | os.PathLike, epoch: str | int, device: str) -> Options:
    """The options for translating with the run in this folder; InputError if it holds no run."""
    folder = os.path.abspath(os.fspath(run))
    if os.path.isfile(folder):
        raise InputError(
            f"{os.fspath(run)}: is a file; give the folder of a run (scripts/import_checkpoint.py makes it)"
        )
    checkpoints_dir, name = os.path.split(folder)
    trained = run_folder.read(checkpoints_dir, name)
    if trained is None:
        raise InputError(f"{os.fspath(run)}: {run_folder.no_run(checkpoints_dir, name)}")
    # A rectangle, such as 256x512, is stored as text.
    sides = {name: size(trained[name]) for name in ("load_size", "crop_size") if name in trained}
    own = run_folder.read_own(checkpoints_dir, name)
    at_test = {name: value for name, value in AT_TEST.items() if name not in own}
    opt = Options(**{**_defaults_at_test(trained), **trained, **sides, **at_test})
    opt = opt.with_own({name: AT_TEST.get(name, value) for name, value in own.items()})
    opt.checkpoints_dir, opt.name, opt.epoch = checkpoints_dir, name, str(epoch)
    opt.device, opt.gpu_ids = devices.resolve(str(device), None)
    return opt


class _Defaults(argparse.ArgumentParser):
    """A parser without a command line, which collects the defaults of a model's flags for a test."""

    def __init__(self) -> None:
        super().__init__(add_help=False, allow_abbrev=False, conflict_handler="resolve")

    def parse_known_args(self, args=None, namespace=None):
        return super().parse_known_args([] if args is None else args, namespace)

    def given(self) -> set[str]:
        return set()

    def names(self) -> set[str]:
        return {action.dest for action in self._actions}


def _defaults_at_test(trained: dict) -> dict:
    parser = _Defaults()
    parser.set_defaults(**trained)
    models.get_option_setter(trained["model"])(parser, False)
    return vars(parser.parse_known_args()[0])
