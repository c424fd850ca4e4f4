"""Flags of testing, and what a test takes over from the trained run."""

import argparse
import contextlib
import io
import os
from collections.abc import Callable
from typing import Any

import models
from options import checks, flags, saved
from options.base_options import BaseOptions
from options.parser import OptionParser
from util.errors import InputError
from util.flags import Declaration


class TestOptions(BaseOptions):
    __test__ = False  # the name makes pytest take it for a test case
    own_defaults: frozenset[str] = frozenset()  # flags for which a user's file has a default for tests

    def initialize(self, parser: OptionParser) -> OptionParser:
        parser = super().initialize(parser)
        flags.add_testing(parser)
        parser.set_defaults(model="test", num_threads=0)
        self.isTrain = False
        return parser

    def restore(self, parser: OptionParser) -> dict[str, Any]:
        """The trained run's options, so that ``--dataroot`` and ``--name`` are enough; {} for bare checkpoints."""
        self.trained = saved.read(parser)
        return saved.for_test(self.trained, parser) if self.trained else {}

    def takes_over(self, flag: Declaration) -> bool:
        return flag.restored

    def without_own_defaults(self, trained: dict[str, Any], package: Any, name: str) -> dict[str, Any]:
        """As in the original programs, what a user's file sets under ``if not is_train`` holds in every test."""
        if not trained or package.is_built_in(name):
            return trained
        own = defaults_of_tests(package.get_option_setter(name), self.words())
        self.own_defaults |= own
        return {key: value for key, value in trained.items() if key not in own}

    def finish(self, opt: argparse.Namespace, given: set[str]) -> None:
        super().finish(opt, given)
        checks.check_against_trained(opt, given, self.trained, self.parser)
        if self.trained:
            settle_direction(opt, self.trained)
        if (
            "patch" in opt.preprocess and "preprocess" not in given | self.own_defaults
        ):  # patches of a grid are for training
            opt.preprocess = "none"
        if "load_size" not in given | self.own_defaults:  # no crop jitter in a test
            opt.load_size = opt.crop_size
        opt.precision = opt.precision or "fp32"
        opt.exact_size = models.is_built_in(opt.model)  # their generators take any size; see get_transform
        opt.serial_batches = True
        opt.no_flip = True
        opt.display_id = -1

    def save(self) -> None:
        """Print the options and write them; test.py does both when data and networks are known to fit."""
        self.show()
        super().save()

    def check_runs(self, opt: argparse.Namespace) -> None:
        checks.check_run_exists(opt, opt.name, self.trained)


def defaults_of_tests(setter: Callable, words: list[str]) -> set[str]:
    """Names of the flags whose default the setter of a model or data set changes in tests and not in training."""
    changed: list[dict[str, Any]] = []
    for is_train in (False, True):
        parser = OptionParser(words)
        flags.add_both(parser)
        (flags.add_training if is_train else flags.add_testing)(parser)
        before = {name: parser.get_default(name) for name in parser.names()}
        with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(Exception):  # raised in its own call, too
            parser = setter(parser, is_train)
        after = {name: parser.get_default(name) for name in parser.names()}
        changed.append({key: after[key] for key in after if key not in before or after[key] != before[key]})
    in_tests, in_training = changed
    return {key for key, value in in_tests.items() if key not in in_training or in_training[key] != value}


def settle_direction(opt: argparse.Namespace, trained: dict[str, Any]) -> None:
    """opt.direction becomes that of the training; a two-sided model may be tested the other way (test_direction).

    ``--model test`` keeps the direction that was asked for: it chooses the generator by it.
    """
    asked, before = opt.direction, trained.get("direction", opt.direction)
    if asked == before:
        return
    if not models.translates_both_ways(models.find_model_using_name(trained["model"])):
        raise InputError(
            f"--direction {asked}: the run '{opt.name}' was trained {before}, and --model {trained['model']} has no "
            "generator for the other direction; leave the flag out"
        )
    if opt.model != "test":
        opt.direction, opt.test_direction = before, asked
        print(f"--direction {asked}: the run was trained {before}, so its second generator translates these images")


def phase_to_evaluate(dataroot: str) -> str:
    """val, or test where the data has no val images."""
    has_val = any(os.path.isdir(os.path.join(dataroot, name)) for name in ("val", "valA", "valB"))
    return "val" if has_val else "test"


class OptionsInTraining(TestOptions):
    """The options of a test of a run that is in training, with the options `training`.

    They are the ones that test.py would have with --phase val or test (see phase_to_evaluate).
    """

    def __init__(self, training: argparse.Namespace) -> None:
        self.training = training
        places = ["--dataroot", training.dataroot, "--checkpoints_dir", training.checkpoints_dir]
        phase = ["--phase", phase_to_evaluate(training.dataroot)]
        super().__init__(
            [
                *places,
                *phase,
                "--name",
                training.name,
                "--device",
                "cpu",
                "--num_threads",
                "0",
                "--skip_bad_images",
                "no",
            ]
        )

    def restore(self, parser: OptionParser) -> dict[str, Any]:
        self.trained = {name: value for name, value in saved.plain(self.training).items() if name != "gpu_ids"}
        return saved.for_test(self.trained, parser)

    def takes_over(self, flag: Declaration) -> bool:
        """Flags of the machine as well: this is the machine of the training."""
        return super().takes_over(flag) or flag.scope == "machine"

    def parse(self) -> argparse.Namespace:
        with contextlib.redirect_stdout(io.StringIO()):
            opt = super().parse()
        if opt.dataset_mode != self.training.dataset_mode:
            raise InputError(
                f"--eval_metrics: {opt.dataroot} has no images to evaluate with, no folders val, valA, test or testA"
            )
        opt.device, opt.gpu_ids = self.training.device, self.training.gpu_ids
        return opt
