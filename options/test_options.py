"""Flags of testing, and what a test takes over from the trained run."""

from options import checks, saved
from options.base_options import BaseOptions
from util.flags import SWITCH, Float, count


class TestOptions(BaseOptions):
    __test__ = False  # not a test case, whatever pytest thinks of the name

    def initialize(self, parser):
        parser = super().initialize(parser)
        flag = parser.add_argument
        flag("--results_dir", default="./results/", help="where the result pages go")
        flag("--results_layout", default="flat", help="flat (<image>_<label>.png) | folders (<label>/<image>.png)")
        flag("--aspect_ratio", type=Float(above=0), default=1.0, help="stretch result images to this width/height")
        flag("--phase", default="test", help="which part of the data: the folders <phase>A, <phase>B or <phase>")
        flag("--eval", **SWITCH, default=False, help="networks in eval mode: running statistics, no dropout")
        flag("--num_test", type=count, default=float("inf"), help="test this many images at most")
        parser.set_defaults(model="test", num_threads=0)
        self.isTrain = False
        return parser

    def restore(self, parser):
        """The trained run's options, so that ``--dataroot`` and ``--name`` are enough; {} for bare checkpoints."""
        self.trained = saved.read(parser)
        return saved.for_test(self.trained, parser) if self.trained else {}

    def finish(self, opt, given):
        super().finish(opt, given)
        checks.check_against_trained(opt, given, self.trained)
        if "load_size" not in given:  # no crop jitter in a test
            opt.load_size = opt.crop_size
        opt.precision = opt.precision or "fp32"
        opt.serial_batches = True
        opt.no_flip = True
        opt.display_id = -1
