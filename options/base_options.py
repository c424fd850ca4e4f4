"""The options of training and testing: their shared flags, and the parsing in passes.

The model and the data set of the command line add flags of their own, so the command line is parsed in passes:
shared flags -> the model, its flags and defaults -> the data set, its flags and defaults -> all values.
From the lowest to the highest priority, a value comes from: the flag's default, the model's set_defaults, the data
set's set_defaults, a train_opt.json given as --config, the trained run (in a test, or with --continue_train), a file of
flags given as --config, the command line.
"""

import argparse
import os
import sys
from collections.abc import Iterable
from functools import partial
from typing import Any

import data
import models
from models.tables import stylegan2_size
from options import checks, config, flags, hints, saved
from options.parser import HELP, HELP_ALL, OptionParser
from util.errors import InputError
from util.flags import Declaration
from util.namespace import Options
from util.processes import distributed


def cores() -> int:
    """The number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class BaseOptions:
    """``TrainOptions(cmd_line).parse()`` returns a Namespace; `cmd_line`: None (sys.argv), a string or a word list."""

    isTrain = None  # set by the subclasses' initialize()

    def __init__(self, cmd_line: str | Iterable | None = None) -> None:
        self.initialized = False
        self.cmd_line = cmd_line
        self.parser: Any = None  # an OptionParser after gather_options()
        self.opt: Any = None  # a Namespace after parse()
        self.drawn_seed = distributed.value_of_rank0(saved.draw_seed())  # for a run without --seed
        self.as_given: dict[str, Any] = {}  # values before the scaling by --scale_lr

    def initialize(self, parser: OptionParser) -> OptionParser:
        """Add the flags of both modes."""
        flags.add_both(parser)
        self.initialized = True
        return parser

    def words(self) -> list[str]:
        """The command line as a list."""
        if self.cmd_line is None:
            return sys.argv[1:]
        return self.cmd_line.split() if isinstance(self.cmd_line, str) else [str(word) for word in self.cmd_line]

    def restore(self, parser: OptionParser) -> dict[str, Any]:
        """The options of an earlier run that may become defaults; subclasses read them from the run's folder."""
        return {}

    def takes_over(self, flag: Declaration) -> bool:
        """Whether the value of an earlier run (see restore) is the default of a flag with this declaration."""
        return False

    def without_own_defaults(self, trained: dict[str, Any], package: Any, name: str) -> dict[str, Any]:
        """The values of an earlier run, except those for which a default of a user's model or data set has priority."""
        return trained

    def gather_options(self) -> argparse.Namespace:
        """Parse in passes (see above) and return the raw Namespace; ``-h`` prints the help and exits."""
        parser = self.initialize(OptionParser(self.words()))
        with parser.tolerating():
            path = parser.parse_known_args()[0].config
        extra = config.read(path)
        parser.command_line = [*extra.words, *parser.command_line]
        try:
            return self._gather(parser, extra)
        except InputError as error:
            raise config.naming_file(error, path, extra, self.words()) from None

    def _gather(self, parser: OptionParser, extra: config.Config) -> argparse.Namespace:
        other = flags.parser_with_flags(not self.isTrain)
        parser.of_other_program = {name: other.get_default(name) for name in other.names()}
        with parser.tolerating():
            parser, model, trained = self._add_flags_of_choice(parser, extra)
        taken = parser.names_with(self.takes_over)
        parser.set_defaults(**{name: trained[name] for name in taken if name in trained})
        self.parser = parser
        if parser.wants_help():
            flag = parser.topic(flags.RUN, common=True)
            flag(*HELP, action="help", help="show the common flags and exit")
            flag(HELP_ALL, action="help", help="show all flags and exit")
            parser.print_help()
            sys.exit(0)
        chosen = f"--model {model}{'' if 'model' in parser.given() or 'model' in trained else ' (the default)'}"
        parser.about_unknown = partial(hints.about_unknown, is_train=bool(self.isTrain), chosen=chosen)
        return parser.parse_args(namespace=Options()).with_own(parser.redefined)

    def _add_flags_of_choice(self, parser: OptionParser, extra: config.Config) -> tuple[OptionParser, str, dict]:
        """Add the flags of the model and of the data set; returns parser, model and the options of an earlier run."""
        trained = {**saved.given_values(extra.options), **self.restore(parser)}
        parser.set_defaults(**{name: trained[name] for name in ("model", "dataset_mode") if name in trained})
        model = parser.parse_known_args()[0].model
        parser.begin_choice(f"--model {model}", flags.NETWORKS, not models.is_built_in(model))
        parser = models.get_option_setter(model)(parser, self.isTrain)
        trained = self.without_own_defaults(trained, models, model)
        parser.set_defaults(**{name: trained[name] for name in ("dataset_mode",) if name in trained})
        dataset_mode = parser.parse_known_args()[0].dataset_mode
        parser.begin_choice(f"--dataset_mode {dataset_mode}", flags.NETWORKS, not data.is_built_in(dataset_mode))
        parser = data.get_option_setter(dataset_mode)(parser, self.isTrain)
        return parser, model, self.without_own_defaults(trained, data, dataset_mode)

    def finish(self, opt: argparse.Namespace, given: set[str]) -> None:
        """Set the options that follow from other options; TestOptions adds what a test forces."""
        opt.isTrain = self.isTrain
        opt.normG = opt.normG or opt.norm
        opt.normD = opt.normD or opt.norm
        if any("stylegan2" in str(word) for word in (opt.netG, opt.netD)):
            # Stored in train_opt.json, so that a test with another --crop_size builds the same networks.
            opt.stylegan2_size = stylegan2_size(opt)
        if not isinstance(opt.seed, int) or opt.seed < 0:  # none given; users' files may mark that by -1
            opt.seed = self.drawn_seed
        if "num_threads" not in given:
            opt.num_threads = min(opt.num_threads, cores())

    def check_runs(self, opt: argparse.Namespace) -> None:
        """Raise InputError if the run of a test or of a continued training does not exist."""

    def parse(self) -> argparse.Namespace:
        """Gather, complete and check the options. Raises InputError. See show() and save() for output."""
        opt = self.gather_options()
        given = self.parser.given()
        if not opt.dataroot:
            raise InputError("--dataroot: the flag is missing; give the folder with the images")
        self.finish(opt, given)
        checks.check(opt, given)
        self.check_runs(opt)
        from util.numerics import device, precision  # imported late: torch takes seconds, and wrong flags fail before

        opt.device, opt.gpu_ids = device.resolve(opt.device, opt.gpu_ids)
        opt.precision = precision.resolve(opt.precision, opt.device)
        self.opt = opt
        return opt

    def show(self) -> None:
        """Print the options. Called after the data and the networks are created, so that errors come first."""
        self.print_options(self.opt)

    def print_options(self, opt: argparse.Namespace) -> None:
        print(saved.as_text(opt, self.parser))

    def save(self) -> None:
        """Write the options of this run as text and JSON beside its checkpoints."""
        saved.write(self.opt, self.parser, self.as_given)
