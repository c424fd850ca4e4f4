"""The flags of the training schedule and of the losses that several models share. No function imports torch."""

from models.tables import AUGMENTATIONS, GAN_MODES, SCHEDULES
from options.parser import OptionParser
from util.flags import SWITCH, Float, Int, words

SCHEDULE, LOSSES = "training schedule", "losses"

NAN_POLICIES = ("stop", "skip", "rollback")
# The factor of --scale_lr for the learning rate, as a function of (images per step / --batch_size).
LR_SCALES = {"none": lambda times: 1.0, "linear": lambda times: times, "sqrt": lambda times: times**0.5}


def add_schedule(parser: OptionParser) -> None:
    flag = parser.topic(SCHEDULE, scope="training")
    flag("--n_epochs", type=Int(0), default=100, help="epochs at the first learning rate", common=True)
    help = "epochs over which the learning rate falls to zero (linear)"
    flag("--n_epochs_decay", type=Int(0), default=100, help=help, common=True)
    flag("--lr", type=Float(above=0), default=0.0002, help="first learning rate", common=True)
    flag("--lr_G", type=Float(above=0), help="first learning rate of the generators (none given: --lr)")
    flag("--lr_D", type=Float(above=0), help="first learning rate of the discriminators (none given: --lr)")
    flag("--lr_policy", default="linear", help=words(SCHEDULES), common=True)
    flag("--epoch_count", type=Int(1), default=1, help="number of the first epoch")
    flag("--n_iters", type=Int(0), default=0, help="batches at the first learning rate, instead of --n_epochs")
    flag("--n_iters_decay", type=Int(0), default=0, help="batches over which the learning rate falls to zero")
    help = "batches between two updates of the rate (none given: up to 1000)"
    flag("--lr_update_step", type=Int(1), help=help)
    flag("--lr_decay_iters", type=Int(1), default=50, help="epochs between two steps, with --lr_policy step")
    flag("--beta1", type=Float(low=0, high=0.999999), default=0.5, help="Adam's first momentum")
    flag("--beta2", type=Float(low=0, high=0.999999), default=0.999, help="Adam's second momentum")
    flag("--scale_lr", default="none", help=f"scale the learning rate with the images per step: {words(LR_SCALES)}")
    help = "average the generators' weights with this decay, e.g. 0.999, and save them as <epoch>_net_<name>_ema.pth"
    flag("--ema", type=Float(low=0, high=0.9999999), help=help)
    flag("--accumulate", type=Int(1), default=1, help="parts of --batch_size images that make one step")
    help = "processes exchange gradients in bfloat16: half of the bytes, rounded to 8 bits"
    flag("--compress_gradients", **SWITCH, default=False, help=help)
    flag("--on_nan", default="stop", help=f"reaction to a loss or gradient that is not finite: {words(NAN_POLICIES)}")


def add_losses(parser: OptionParser) -> None:
    flag = parser.topic(LOSSES, scope="training")
    flag("--gan_mode", default="lsgan", help=words(GAN_MODES), common=True)
    flag("--lambda_gp", type=Float(low=0), default=0.0, help="gradient penalty's weight, with --gan_mode wgangp")
    flag("--pool_size", type=Int(0), default=50, help="generated images kept for the discriminators; 0 = none")
    help = "differentiable augmentation (DiffAugment) of all images that a discriminator classifies"
    flag("--diffaugment", metavar="A,B", help=f"{help}: {words(AUGMENTATIONS)}, joined by commas")
    help = "weight of R1, the gradient penalty at real images, with any --gan_mode; 0 = none"
    flag("--lambda_r1", type=Float(low=0), default=0.0, help=help)
    help = "compute R1 in every N-th step, with N times its weight; 16 saves most of its time"
    flag("--lazy_r1", type=Int(1), default=1, help=help)
    help = "one-sided: the label of real images in the discriminator's loss is 1 minus this value, e.g. 0.1"
    flag("--label_smoothing", type=Float(low=0, high=0.5), default=0.0, help=help)
    help = "divide the weights of the discriminators by their spectral norm"
    flag("--spectral_norm", **SWITCH, default=False, help=help, scope="network")
