"""Flags of training."""

from models.tables import GAN_MODES, SCHEDULES
from options import checks
from options.base_options import BaseOptions
from util.flags import SWITCH, Float, Int, words


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
        flag("--continue_train", **SWITCH, default=False, help="start from the weights of --epoch")
        flag("--epoch_count", type=Int(1), default=1, help="number of the first epoch")
        flag("--pretrained_name", default=None, help="load the weights from this run instead of --name")
        flag("--phase", default="train", help="which part of the data: the folders <phase>A, <phase>B or <phase>")
        # the schedule
        flag("--n_epochs", type=Int(0), default=100, help="epochs at the first learning rate")
        flag("--n_epochs_decay", type=Int(0), default=100, help="epochs over which it falls to zero (linear)")
        flag("--beta1", type=Float(low=0, high=0.999999), default=0.5, help="Adam's first momentum")
        flag("--beta2", type=Float(low=0, high=0.999999), default=0.999, help="Adam's second momentum")
        flag("--lr", type=Float(above=0), default=0.0002, help="first learning rate")
        flag("--lr_policy", default="linear", help=words(SCHEDULES))
        flag("--lr_decay_iters", type=Int(1), default=50, help="epochs between two steps, with --lr_policy step")
        # losses
        flag("--gan_mode", default="lsgan", help=words(GAN_MODES))
        flag("--lambda_gp", type=Float(low=0), default=0.0, help="gradient penalty's weight, with --gan_mode wgangp")
        flag("--pool_size", type=Int(0), default=50, help="generated images kept for the discriminators; 0 = none")
        self.isTrain = True
        return parser

    def finish(self, opt, given):
        super().finish(opt, given)
        if opt.suffix:
            opt.name = f"{opt.name}_{checks.fill_suffix(opt.suffix, opt)}"
