"""The options of a test, and the values that it takes from the trained run."""

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
from util.flags import Declaration, plain_options


class TestOptions(BaseOptions):
    __test__ = False  # pytest would collect the class because of its name
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
        """Defaults that a user's file sets under ``if not is_train`` have priority, as in the original programs."""
        if not trained or package.is_built_in(name):
            return trained
        own = defaults_of_tests(package.get_option_setter(name), self.words())
        self.own_defaults |= own
        return {key: value for key, value in trained.items() if key not in own}

    def finish(self, opt: argparse.Namespace, given: set[str]) -> None:
        super().finish(opt, given)
        checks.check_against_trained(opt, given, self.trained, self.parser)
        if self.trained:
            set_direction(opt, self.trained)
        chosen = given | self.own_defaults
        if "patch" in opt.preprocess and "preprocess" not in chosen:  # patches are for training
            opt.preprocess = "none"
        if "load_size" not in chosen:  # a test does not crop at random
            opt.load_size = opt.crop_size
        opt.precision = opt.precision or "fp32"
        opt.exact_size = models.is_built_in(opt.model)  # built-in generators accept any size; see get_transform
        opt.serial_batches = True
        opt.no_flip = True
        opt.display_id = -1

    def save(self) -> None:
        """Print and write the options."""
        self.show()
        super().save()

    def check_runs(self, opt: argparse.Namespace) -> None:
        checks.check_run_exists(opt, opt.name, self.trained)


def defaults_of_tests(setter: Callable, words: list[str]) -> set[str]:
    """Names of the flags whose default the setter of a model or data set changes in tests and not in training."""
    changed: list[dict[str, Any]] = []
    for is_train in (False, True):
        parser = flags.parser_with_flags(is_train, words)
        before = {name: parser.get_default(name) for name in parser.names()}
        # An error of the setter is raised in the pass that adds its flags to the parser of the program.
        with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(Exception):
            parser = setter(parser, is_train)
        after = {name: parser.get_default(name) for name in parser.names()}
        changed.append({key: after[key] for key in after if key not in before or after[key] != before[key]})
    in_tests, in_training = changed
    return {key for key, value in in_tests.items() if key not in in_training or in_training[key] != value}


def set_direction(opt: argparse.Namespace, trained: dict[str, Any]) -> None:
    """Set opt.direction to that of the training, and opt.test_direction if a test of a two-sided model differs from it.

    ``--model test`` keeps the direction of the command line, by which it selects the generator.
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
        print(f"--direction {asked}: the run was trained {before}, so its second generator translates the images")


def phase_to_evaluate(dataroot: str) -> str:
    """Return "val" if the data has a folder for it, otherwise "test"."""
    has_val = any(os.path.isdir(os.path.join(dataroot, name)) for name in ("val", "valA", "valB"))
    return "val" if has_val else "test"


class OptionsInTraining(TestOptions):
    """The options of an evaluation during a training, whose options are `training`.

    They are the options of test.py with --phase val or test (see phase_to_evaluate).
    """

    def __init__(self, training: argparse.Namespace) -> None:
        self.training = training
        places = ["--dataroot", training.dataroot, "--checkpoints_dir", training.checkpoints_dir]
        places += ["--name", training.name, "--phase", phase_to_evaluate(training.dataroot)]
        super().__init__([*places, *"--device cpu --num_threads 0 --skip_bad_images no".split()])

    def restore(self, parser: OptionParser) -> dict[str, Any]:
        self.trained = {name: value for name, value in plain_options(self.training).items() if name != "gpu_ids"}
        return saved.for_test(self.trained, parser)

    def takes_over(self, flag: Declaration) -> bool:
        """Also flags of the machine, because the evaluation runs on the machine of the training."""
        return super().takes_over(flag) or flag.scope == "machine"

    def parse(self) -> argparse.Namespace:
        with contextlib.redirect_stdout(io.StringIO()):
            opt = super().parse()
        if opt.dataset_mode != self.training.dataset_mode:
            raise InputError(
                f"--eval_metrics: {opt.dataroot} has no images to evaluate on; put them into a folder val, valA, test "
                "or testA"
            )
        opt.device, opt.gpu_ids = self.training.device, self.training.gpu_ids
        return opt
