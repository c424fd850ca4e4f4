"""Flags that training and testing share, and the parsing in passes.

The model and the data set named on the command line add flags of their own, so parsing takes three looks:
base flags -> which model? -> its flags and defaults -> which data set? -> its flags and defaults -> everything.
Lowest to highest, a value comes from: the flag's default, the model's set_defaults, the data set's, (in a test)
the trained run, the command line.
"""

import sys

import data
import models
from data.tables import PREPROCESS
from models.tables import DISCRIMINATORS, GENERATORS, INITS, NORMS
from options import checks, saved
from options.parser import OptionParser
from util.errors import InputError
from util.flags import SWITCH, Float, Int, count, words
from util.processes import distributed


class BaseOptions:
    """``TrainOptions(cmd_line).parse()`` is a Namespace; `cmd_line`: None (sys.argv), a string, or a list of words."""

    isTrain = None  # set by the subclasses' initialize()

    def __init__(self, cmd_line=None):
        self.initialized = False
        self.cmd_line = cmd_line
        self.parser = None
        self.opt = None
        self.drawn_seed = distributed.value_of_rank0(saved.draw_seed())  # for a run that is given none
        self.as_given = {}  # values as the flags have them, where the run works with others

    def initialize(self, parser):
        """Add the flags of both modes."""
        flag = parser.add_argument
        # the run
        flag("--dataroot", help="folder with the images (required)")
        flag("--name", default="experiment_name", help="name of the run: its files lie in <checkpoints_dir>/<name>")
        flag("--easy_label", default="experiment_name", help="a prettier name, for pages that compare runs")
        flag("--checkpoints_dir", default="./checkpoints", help="where the runs are kept")
        flag("--suffix", default="", help="added to --name in training, e.g. {model}_{netG}_size{load_size}")
        flag("--seed", type=Int(0, 2**63 - 1), help="seed of everything random; none given: drawn, printed and saved")
        flag("--device", default=None, help="auto | cpu | cuda | cuda:N | mps (none given: auto)")
        flag("--gpu_ids", default=None, help="the older way to say it: 0 = cuda:0, -1 = cpu; 0,1 = a process on each")
        precision = "numbers of the networks (none given: tf32 on CUDA, fp32 elsewhere and in tests)"
        flag("--precision", default=None, help=f"{words(checks.PRECISIONS)}: {precision}")
        flag("--compile", default="none", help=f"{words(checks.COMPILING)}: torch.compile the networks, in minutes")
        flag("--channels_last", **SWITCH, default=False, help="maps in memory as (N, H, W, C), as tensor cores like it")
        # the model
        names = f"{words(models.BUILT_IN)}, or models/<name>_model.py of your own"
        flag("--model", type=models.own_name, default="cycle_gan", help=names)
        flag("--input_nc", type=Int(1), default=3, help="channels of the input images: 3 colour, 1 gray")
        flag("--output_nc", type=Int(1), default=3, help="channels of the output images: 3 colour, 1 gray")
        flag("--ngf", type=Int(1), default=64, help="channels of the generator's first layer")
        flag("--ndf", type=Int(1), default=64, help="channels of the discriminator's first layer")
        flag("--netG", default="resnet_9blocks", help=words(GENERATORS))
        flag("--netD", default="basic", help=f"{words(DISCRIMINATORS)}; basic is the 70x70 PatchGAN")
        flag("--n_layers_D", type=Int(1, 8), default=3, help="depth of the discriminator, with --netD n_layers")
        flag("--norm", default="instance", help=words(NORMS))
        flag("--normG", default=None, help="normalisation of the generator (none given: --norm)")
        flag("--normD", default=None, help="normalisation of the discriminator (none given: --norm)")
        flag("--init_type", default="normal", help=words(INITS))
        flag("--init_gain", type=Float(above=0), default=0.02, help="scale of normal, xavier and orthogonal init")
        flag("--no_dropout", **SWITCH, default=False, help="no dropout in the generator")
        flag("--no_antialias", **SWITCH, default=True, help="strided convolutions instead of blurred downsampling")
        flag("--no_antialias_up", **SWITCH, default=True, help="transposed convolutions instead of blurred upsampling")
        flag("--stylegan2_G_num_downsampling", type=Int(1), default=1, help="read by plug-ins with such a generator")
        # the data
        flag("--dataset_mode", default="unaligned", help=f"{words(data.BUILT_IN)}, or data/<name>_dataset.py")
        flag("--direction", default="AtoB", help="AtoB | BtoA")
        flag("--serial_batches", **SWITCH, default=False, help="take the images in order instead of shuffled")
        flag("--num_threads", type=Int(0), default=4, help="processes that load data; 0 = the main one does")
        flag("--batch_size", type=Int(1), default=1, help="images per step")
        flag("--drop_last", **SWITCH, default=False, help="leave out the last batch of an epoch if it is short")
        flag("--load_size", type=Int(1), default=286, help="images are scaled to this size ...")
        flag("--crop_size", type=Int(1), default=256, help="... and then cropped to this one")
        flag("--max_dataset_size", type=count, default=float("inf"), help="use this many images at most")
        flag("--preprocess", default="resize_and_crop", help=words(PREPROCESS))
        flag("--no_flip", **SWITCH, default=False, help="do not mirror images at random")
        flag("--random_scale_max", type=Float(low=1), default=3.0, help="read by single-image data sets of plug-ins")
        # showing
        flag("--display_winsize", type=Int(1), default=256, help="width of the images on the pages, in pixels")
        flag("--use_wandb", **SWITCH, default=False, help="log to Weights & Biases too")
        flag("--wandb_project_name", default="CycleGAN-and-pix2pix", help="project name there")
        flag("--use_tensorboard", **SWITCH, default=False, help="write TensorBoard event files into the run's folder")
        # checkpoints
        flag("--epoch", default="latest", help="which checkpoint to load: an epoch's number, or latest")
        flag("--load_iter", type=Int(0), default=0, help="if above 0: load iter_<load_iter> instead of --epoch")
        flag("--verbose", **SWITCH, default=False, help="print the networks")
        self.initialized = True
        return parser

    def words(self):
        """The command line as a list."""
        if self.cmd_line is None:
            return sys.argv[1:]
        return self.cmd_line.split() if isinstance(self.cmd_line, str) else [str(word) for word in self.cmd_line]

    def restore(self, parser):
        """Defaults that a trained run brings along: nothing in training; TestOptions reads the run."""
        return {}

    def gather_options(self):
        """Parse in passes (see above) and return the raw Namespace; ``-h`` prints all flags of the choice and exits."""
        parser = self.initialize(OptionParser(self.words()))
        trained = self.restore(parser)
        parser.set_defaults(**{name: trained[name] for name in ("model", "dataset_mode") if name in trained})
        model = parser.parse_known_args()[0].model
        parser = models.get_option_setter(model)(parser, self.isTrain)
        parser.set_defaults(**{name: trained[name] for name in ("dataset_mode",) if name in trained})
        dataset_mode = parser.parse_known_args()[0].dataset_mode
        parser = data.get_option_setter(dataset_mode)(parser, self.isTrain)
        parser.set_defaults(**{name: value for name, value in trained.items() if name in parser.names()})
        self.parser = parser
        if parser.wants_help():
            parser.add_argument("-h", "--help", action="help", help="show this and exit")
            parser.print_help()
            sys.exit(0)
        return parser.parse_args()

    def finish(self, opt, given):
        """What follows from other options; TestOptions adds what a test forces."""
        opt.isTrain = self.isTrain
        opt.normG = opt.normG or opt.norm
        opt.normD = opt.normD or opt.norm
        if opt.seed is None:
            opt.seed = self.drawn_seed

    def parse(self):
        """Gather, complete and check the options, and print them. Raises InputError; writes nothing (see save)."""
        opt = self.gather_options()
        given = self.parser.given()
        if not opt.dataroot:
            raise InputError("--dataroot: missing; give the folder with the images")
        self.finish(opt, given)
        checks.check(opt, given)
        from util.numerics import (  # torch takes seconds to import; a mistyped flag should not wait for it
            device,
            precision,
        )

        opt.device, opt.gpu_ids = device.resolve(opt.device, opt.gpu_ids)
        opt.precision = precision.settle(opt.precision, opt.device)
        self.opt = opt
        if len(opt.gpu_ids) < 2:  # otherwise the processes say them that are going to be started
            self.print_options(opt)
        return opt

    def print_options(self, opt):
        print(saved.as_text(opt, self.parser))

    def save(self):
        """Write the options of this run as text and JSON beside its checkpoints."""
        saved.write(self.opt, self.parser, self.as_given)
