"""Flags of training."""

import os

from models.tables import GAN_MODES, SCHEDULES
from options import checks, saved
from options.base_options import BaseOptions
from util.errors import InputError, nearest
from util.flags import SWITCH, Float, Int, words
from util.processes import distributed
from util.run import folder as run_folder

# What --scale_lr makes of the images of a step, in units of --batch_size.
LR_SCALES = {"none": lambda times: 1.0, "linear": lambda times: times, "sqrt": lambda times: times**0.5}
RATES = ("lr", "lr_F", "g_lr", "d_lr")


class TrainOptions(BaseOptions):
    def initialize(self, parser):
        parser = super().initialize(parser)
        flag = parser.add_argument
        # showing; frequencies count images, and mean "at least every so many"
        flag("--display_freq", type=Int(1), default=400, help="images between two updates of the pictures")
        flag("--display_ncols", type=int, default=4, help="pictures per row in visdom; 0 = a window each")
        flag(
            "--display_id", type=int, help="first visdom window; 0 or -1 = no visdom (none given: from the run's name)"
        )
        flag("--display_server", default="http://localhost", help="address of the visdom server")
        flag("--display_env", default="main", help="visdom environment")
        flag("--display_port", type=Int(1, 65535), default=8097, help="port of the visdom server")
        flag("--update_html_freq", type=Int(1), default=1000, help="images between two updates of web/index.html")
        flag("--print_freq", type=Int(1), default=100, help="images between two lines of losses")
        flag("--no_html", **SWITCH, default=False, help="no intermediate pictures in the run's web/ folder")
        # saving
        flag("--save_latest_freq", type=Int(1), default=5000, help="images between two saves of the latest weights")
        flag("--save_epoch_freq", type=Int(1), default=5, help="epochs between two saves of an epoch's weights")
        flag("--save_by_iter", **SWITCH, default=False, help="save as iter_<images> instead of latest")
        flag("--evaluation_freq", type=Int(1), default=5000, help="read by plug-ins that evaluate")
        flag("--continue_train", **SWITCH, default=False, help="go on where the run --name stopped, with its options")
        flag("--overwrite", **SWITCH, default=False, help="start anew in a folder that holds checkpoints; they go")
        flag("--keep_last", type=Int(1), help="keep the weights of this many epochs; the older go (none given: all)")
        flag("--max_time", type=Float(above=0), help="save and leave after this many minutes")
        flag("--epoch_count", type=Int(1), default=1, help="number of the first epoch")
        flag("--pretrained_name", default=None, help="load the weights from this run instead of --name")
        flag("--init_from", help="start a new run from the weights in this run's folder (see --epoch) or .pth file")
        flag("--phase", default="train", help="which part of the data: the folders <phase>A, <phase>B or <phase>")
        # the schedule
        flag("--n_epochs", type=Int(0), default=100, help="epochs at the first learning rate")
        flag("--n_epochs_decay", type=Int(0), default=100, help="epochs over which it falls to zero (linear)")
        flag("--n_iters", type=Int(0), default=0, help="batches at the first learning rate, instead of --n_epochs")
        flag("--n_iters_decay", type=Int(0), default=0, help="batches over which it falls to zero")
        flag("--lr_update_step", type=Int(1), help="batches between two updates of the rate (none given: up to 1000)")
        flag("--beta1", type=Float(low=0, high=0.999999), default=0.5, help="Adam's first momentum")
        flag("--beta2", type=Float(low=0, high=0.999999), default=0.999, help="Adam's second momentum")
        flag("--lr", type=Float(above=0), default=0.0002, help="first learning rate")
        flag("--lr_policy", default="linear", help=words(SCHEDULES))
        flag("--lr_decay_iters", type=Int(1), default=50, help="epochs between two steps, with --lr_policy step")
        flag("--scale_lr", default="none", help=f"learning rate with the images of a step: {words(LR_SCALES)}")
        flag("--accumulate", type=Int(1), default=1, help="parts of --batch_size images that make one step")
        # the machine
        flag("--economies", **SWITCH, default=True, help="one pass for two where results differ by rounding alone")
        flag("--grad_checkpoint", **SWITCH, default=False, help="less memory: compute generators' blocks twice; slower")
        # what may go wrong
        flag("--on_nan", default="stop", help=f"when a number is not finite: {words(checks.NAN_POLICIES)}")
        flag("--skip_bad_images", **SWITCH, default=False, help="take the next image for one that can't be read")
        flag("--deterministic", **SWITCH, default=False, help="only repeatable operations where there are any; slower")
        # losses
        flag("--gan_mode", default="lsgan", help=words(GAN_MODES))
        flag("--lambda_gp", type=Float(low=0), default=0.0, help="gradient penalty's weight, with --gan_mode wgangp")
        flag("--pool_size", type=Int(0), default=50, help="generated images kept for the discriminators; 0 = none")
        self.isTrain = True
        return parser

    def restore(self, parser):
        """With --continue_train the run's own options are the defaults, so that no flag needs to be said again."""
        opt = parser.parse_known_args()[0]
        self.goes_on = goes_on(opt)
        self.trained = saved.read(parser) if opt.continue_train or self.goes_on else None
        return saved.for_resume(self.trained) if self.trained else {}

    def finish(self, opt, given):
        super().finish(opt, given)
        if self.goes_on:
            print("started again by the launcher: going on from the last checkpoint")
            opt.continue_train, opt.overwrite, opt.init_from, opt.pretrained_name = True, False, None, None
        self.as_given = scale_rates(opt)
        settle_length(opt, given)
        opt.name = checks.full_name(opt)
        checks.check_name(opt.name)
        folder = os.path.join(opt.checkpoints_dir, opt.name)
        checks.check_start(opt)
        if opt.continue_train:
            checks.check_against_trained(opt, given, self.trained)
            if self.trained and "epoch_count" in given and run_folder.states(folder):
                opt.epoch_count = self.trained["epoch_count"]
                print("--epoch_count: not needed, the checkpoint knows where the run stands")
        elif run_folder.checkpoints(folder) and not opt.overwrite:
            raise InputError(
                f"--name {opt.name}: {folder} holds checkpoints; --continue_train goes on with them, --overwrite "
                "starts anew, or choose another name"
            )


def goes_on(opt):
    """Whether the launcher has started a run again that had made checkpoints by then (torchrun --max_restarts)."""
    if not distributed.restarted():
        return False
    return distributed.value_of_rank0(bool(run_folder.states(os.path.join(opt.checkpoints_dir, checks.full_name(opt)))))


def scale_rates(opt):
    """Multiply the learning rates as --scale_lr says; returns what they were."""
    if opt.scale_lr not in LR_SCALES:
        hint = nearest(opt.scale_lr, LR_SCALES)
        raise InputError(f"--scale_lr {opt.scale_lr}: choose {', '.join(LR_SCALES)};{hint}".rstrip(";"))
    opt.lr_scale = LR_SCALES[opt.scale_lr](distributed.step_size(opt) / opt.batch_size)
    rates = {name: getattr(opt, name) for name in RATES if getattr(opt, name, None) is not None}
    for name, rate in rates.items():
        setattr(opt, name, rate * opt.lr_scale)
    return rates


def settle_length(opt, given):
    """A run counts iterations or epochs: what is given decides, and otherwise the model's own habit."""
    epochs, iterations = (sorted(given & {name, f"{name}_decay"}) for name in ("n_epochs", "n_iters"))
    if epochs and iterations:
        raise InputError(f"--{epochs[0]}, --{iterations[0]}: a run counts epochs or iterations; give one of them")
    if epochs:
        opt.n_iters = opt.n_iters_decay = 0
    if opt.n_iters + opt.n_iters_decay and opt.epoch_count > 1:
        raise InputError(f"--epoch_count {opt.epoch_count}: this run counts iterations, see --n_iters; leave it out")
    if opt.lr_update_step is None:
        opt.lr_update_step = min(1000, max(1, opt.n_iters_decay // 100))
