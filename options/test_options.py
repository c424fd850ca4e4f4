"""Flags of testing, and what a test takes over from the trained run."""

import argparse
from typing import Any

from options import checks, flags, saved
from options.base_options import BaseOptions
from options.parser import OptionParser
from util.flags import Declaration


class TestOptions(BaseOptions):
    __test__ = False  # the name makes pytest take it for a test case

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

    def finish(self, opt: argparse.Namespace, given: set[str]) -> None:
        super().finish(opt, given)
        checks.check_against_trained(opt, given, self.trained, self.parser)
        if "load_size" not in given:  # no crop jitter in a test
            opt.load_size = opt.crop_size
        opt.precision = opt.precision or "fp32"
        opt.serial_batches = True
        opt.no_flip = True
        opt.display_id = -1
