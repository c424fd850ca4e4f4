"""Flags of StarGAN, and what its sizes must agree with."""

from util.domains import add_flags
from util.errors import InputError
from util.flags import SWITCH, Float, Int, refuse

HAIR = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair")

INSTEAD = {
    "lr": "it has --g_lr and --d_lr",
    "ngf": "its generator's width is --g_conv_dim",
    "ndf": "its critic's width is --d_conv_dim",
    "netG": "its generator's depth is --g_repeat_num",
    "netD": "its critic's depth is --d_repeat_num",
    "n_layers_D": "its critic's depth is --d_repeat_num",
    **dict.fromkeys(("norm", "normG", "normD", "no_dropout"), "its norms are fixed, and there is no dropout"),
    **dict.fromkeys(("init_type", "init_gain"), "its networks start as PyTorch makes them"),
    "gan_mode": "it is always WGAN with a gradient penalty",
    "pool_size": "its critic sees new images only",
    "direction": "it translates in all directions; a test names them with --targets",
    "eval": "its norms always take an image's own statistics",
}

# The original's 200,000 iterations, and its intervals of 10 and 1,000 iterations of 16 images.
TRAINING = {
    "n_iters": 100_000,
    "n_iters_decay": 100_000,
    "batch_size": 16,
    "lambda_gp": 10.0,
    "gan_mode": "wgangp",
    "print_freq": 160,
    "display_freq": 1600,
    "update_html_freq": 1600,
    "save_latest_freq": 16_000,
    "save_epoch_freq": 100,
    "display_ncols": 20,
}


def add_options(parser, is_train=True):
    refuse(parser, "--model stargan", **INSTEAD)
    flag = parser.add_argument
    add_flags(parser)
    flag("--c_dim", type=Int(1), default=5, help="attributes, or folders (none given: as many as the data has)")
    flag("--c2_dim", type=Int(1), default=8, help="folders beside attributes (none given: as many as the data has)")
    flag("--exclusive_attrs", nargs="+", default=[*HAIR], help="attributes of which an image has one at a time")
    flag("--g_conv_dim", type=Int(1), default=64, help="channels of the generator's first layer")
    flag("--d_conv_dim", type=Int(1), default=64, help="channels of the critic's first layer")
    flag("--g_repeat_num", type=Int(0), default=6, help="residual blocks of the generator")
    flag("--d_repeat_num", type=Int(1, 10), default=6, help="layers of the critic, each of which halves the image")
    if not is_train:
        flag("--targets", help="e.g. Blond_Hair,Male,Brown_Hair+Male (none given: each, and the usual combinations)")
        return parser
    flag("--lambda_cls", type=Float(low=0), default=1.0, help="weight of the domain classification")
    flag("--lambda_rec", type=Float(low=0), default=10.0, help="weight of the reconstruction")
    flag("--n_critic", type=Int(1), default=5, help="iterations of the critic for one of the generator")
    flag("--g_lr", type=Float(above=0), default=0.0001, help="first learning rate of the generator")
    flag("--d_lr", type=Float(above=0), default=0.0001, help="first learning rate of the critic")
    flag("--separate_gp", **SWITCH, default=False, help="an update of its own for the gradient penalty, as at first")
    flag("--original_lr_decay", **SWITCH, default=False, help="let the rates fall as released: by 0.1 percent in all")
    parser.set_defaults(dataset_mode="celeba", **TRAINING)
    return parser


def check_options(opt):
    """Names against numbers, and the image against the strides of both networks."""
    sizes = {"c_dim": opt.selected_attrs or opt.domains}
    if opt.selected_attrs and opt.domains:
        sizes["c2_dim"] = opt.domains
    for flag, names in sizes.items():
        if getattr(opt, flag) != len(names):
            raise InputError(
                f"--{flag} {getattr(opt, flag)}: the data has {len(names)} domains ({', '.join(names) or 'none'}); "
                "leave the flag out"
            )
    if opt.input_nc != opt.output_nc:
        raise InputError(f"--output_nc {opt.output_nc}: StarGAN gives back what it gets, --input_nc {opt.input_nc}")
    if opt.image_size % 4:
        raise InputError(f"--image_size {opt.image_size}: needs a multiple of 4; try {opt.image_size // 4 * 4 + 4}")
    if opt.isTrain and opt.image_size < 2**opt.d_repeat_num:
        raise InputError(
            f"--image_size {opt.image_size}: the critic halves it {opt.d_repeat_num} times; make it at least "
            f"{2**opt.d_repeat_num}, or --d_repeat_num smaller"
        )
