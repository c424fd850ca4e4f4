"""The flags of the built-in models, and the defaults that a model changes: one function per value of ``--model``.

Nothing here imports torch, so that -h and a refused command line take less than a second. A model uses its function by
``modify_commandline_options = staticmethod(flags.<name>)``; see util/factory.py.
"""

import argparse
from collections.abc import Callable

from data.flags import add_domain_flags
from models import CONTRASTIVE_DEFAULTS, CONTRASTIVE_TRAINING, get_option_setter
from models.tables import PERCEPTUAL, SAMPLERS
from util.errors import InputError
from util.flags import SWITCH, Float, Int, declare, refuse, words

Parser = argparse.ArgumentParser


def pix2pix(parser: Parser, is_train: bool = True) -> Parser:
    flag = declare(parser, scope="training")
    parser.set_defaults(norm="batch", netG="unet_256", dataset_mode="aligned")
    if is_train:
        parser.set_defaults(pool_size=0, gan_mode="vanilla")
        flag("--lambda_L1", type=Float(low=0), default=100.0, help="weight of the L1 loss")
        add_paired(flag)
    return parser


def add_paired(flag: Callable) -> None:
    """The flags of models/paired.py."""
    help = "weight of feature matching: G(A) and B in the feature maps of the discriminators, e.g. 10; 0 = none"
    flag("--lambda_feat", type=Float(low=0), default=0.0, help=help)
    help = "weight of the perceptual loss: G(A) and B in features of a trained classifier, e.g. 10; 0 = none"
    flag("--lambda_perceptual", type=Float(low=0), default=0.0, help=help)
    help = f"{words(PERCEPTUAL)}: L1 of features of VGG-19, or the distance of the package lpips on VGG-16"
    flag("--perceptual", default="vgg", help=help)
    help = "file, or folder of files, with the weights of the classifier (none given: PyTorch's cache)"
    flag("--perceptual_weights", metavar="PATH", help=help, scope="machine", resume=True)


def colorization(parser: Parser, is_train: bool = True) -> Parser:
    """The flags of pix2pix, with another data set."""
    parser = get_option_setter("pix2pix")(parser, is_train)
    parser.set_defaults(dataset_mode="colorization")
    return parser


def cycle_gan(parser: Parser, is_train: bool = True) -> Parser:
    flag = declare(parser, scope="training")
    parser.set_defaults(no_dropout=True)
    if is_train:
        flag("--lambda_A", type=Float(low=0), default=10.0, help="weight of the cycle A -> B -> A")
        flag("--lambda_B", type=Float(low=0), default=10.0, help="weight of the cycle B -> A -> B")
        help = "weight of |G_A(B) - B| and |G_B(A) - A| in units of lambda_B and lambda_A: keeps colours"
        flag("--lambda_identity", type=Float(low=0), default=0.5, help=help)
    return parser


def add_contrastive(parser: Parser, is_train: bool, nce_layers: str, **defaults) -> Parser:
    """The flags that the contrastive models share; `defaults` are defaults of the calling model, for any flag."""
    flag = declare(parser, scope="training")
    flag("--lambda_GAN", type=Float(low=0), default=1.0, help="weight of the adversarial loss")
    flag("--lambda_NCE", type=Float(low=0), default=1.0, help="weight of the contrastive loss")
    flag("--nce_idt", **SWITCH, default=True, help="also map images of the target domain to themselves")
    flag("--nce_layers", default=nce_layers, help="layers of the generator whose features are compared, ascending")
    every = "take negatives from all images of the batch, not only from the patch's own"
    flag("--nce_includes_all_negatives_from_minibatch", **SWITCH, default=False, help=every)
    help = f"{words(SAMPLERS)}: vectors of patches, projected or not; of a 4x4 grid; of the whole image"
    flag("--netF", default="mlp_sample", help=help)
    flag("--netF_nc", type=Int(1), default=256, help="length of the vectors that are compared")
    flag("--nce_T", type=Float(above=0), default=0.07, help="temperature of the contrastive loss")
    flag("--num_patches", type=Int(1), default=256, help="patches per image and layer")
    flag("--flip_equivariance", **SWITCH, default=False, help="translate half of the batches mirrored")
    flag("--lr_F", type=Float(above=0), help="learning rate of the projectors (none given: as released)")
    training = {**CONTRASTIVE_TRAINING, "pool_size": 0} if is_train else {}
    parser.set_defaults(**{**CONTRASTIVE_DEFAULTS, **training, **defaults})
    return parser


FASTCUT = {"nce_idt": False, "lambda_NCE": 10.0, "flip_equivariance": True}
FASTCUT_SCHEDULE = {"n_epochs": 150, "n_epochs_decay": 50}


def cut(parser: Parser, is_train: bool = True) -> Parser:
    declare(parser, scope="training")("--CUT_mode", default="CUT", help="CUT | FastCUT")
    fast = parser.parse_known_args()[0].CUT_mode.lower() == "fastcut"
    schedule = FASTCUT_SCHEDULE if fast and is_train else {}
    return add_contrastive(parser, is_train, "0,4,8,12,16", **(FASTCUT if fast else {}), **schedule)


def fastcut(parser: Parser, is_train: bool = True) -> Parser:
    """The flags of CUT, with FastCUT's defaults."""
    parser = get_option_setter("cut")(parser, is_train)
    parser.set_defaults(CUT_mode="FastCUT", **FASTCUT, **(FASTCUT_SCHEDULE if is_train else {}))
    return parser


# As released: patches of 64 pixels in batches of 16, whose images are each other's negatives.
SINCUT = {
    **{"dataset_mode": "singleimage", "preprocess": "zoom_and_patch", "load_size": 1024, "crop_size": 64},
    **{"netG": "stylegan2", "netD": "stylegan2", "ngf": 10, "ndf": 8, "stylegan2_G_num_downsampling": 1},
    **{"nce_layers": "0,2,4", "nce_includes_all_negatives_from_minibatch": True, "num_patches": 1, "lambda_NCE": 4.0},
}
SINCUT_TRAINING = {
    **{"gan_mode": "nonsaturating", "lr": 0.002, "beta1": 0.0, "beta2": 0.99, "batch_size": 16},
    **{"n_epochs": 8, "n_epochs_decay": 8, "save_epoch_freq": 1, "save_latest_freq": 20_000},
}


def sincut(parser: Parser, is_train: bool = True) -> Parser:
    """The flags of CUT with other defaults, and those of R1 and the identity loss."""
    refuse(parser, "--model sincut", lambda_r1="it has --lambda_R1", lazy_r1="it has --lazy_R1")
    parser = get_option_setter("cut")(parser, is_train)
    flag = declare(parser, scope="training")
    flag("--lambda_R1", type=Float(low=0), default=1.0, help="weight of R1, the gradient penalty at real images")
    help = "compute R1 in every N-th step, with N times its weight; 16 saves most of its time"
    flag("--lazy_R1", type=Int(1), default=1, help=help)
    flag("--lambda_identity", type=Float(low=0), default=1.0, help="weight of |G(B) - B|: keeps colours")
    parser.set_defaults(**SINCUT, **(SINCUT_TRAINING if is_train else {}))
    return parser


def dclgan(parser: Parser, is_train: bool = True) -> Parser:
    flag = declare(parser, scope="training")
    add_contrastive(parser, is_train, "4,8,12,16", lambda_NCE=2.0)
    if is_train:
        parser.set_defaults(gan_mode="hinge")
    flag("--DCL_mode", default="DCL", help="DCL; the original's other mode is --model simdcl")
    flag("--lambda_IDT", type=Float(low=0), default=1.0, help="weight of |G_A(B) - B|, |G_B(A) - A|")
    return parser


def simdcl(parser: Parser, is_train: bool = True) -> Parser:
    """The flags of DCLGAN, and the weight of the similarity loss."""
    parser = get_option_setter("dclgan")(parser, is_train)
    # As released: the code declares a weight of 2 but never multiplies by it.
    parser.set_defaults(lambda_NCE=1.0, DCL_mode="SIM")
    flag = declare(parser, scope="training")
    flag("--lambda_SIM", type=Float(low=0), default=10.0, help="weight of the similarity loss")
    return parser


STARGAN_INSTEAD = {
    "lr": "it has --g_lr and --d_lr",
    "lr_G": "it has --g_lr",
    "lr_D": "it has --d_lr",
    "ngf": "its generator's width is --g_conv_dim",
    "ndf": "its discriminator's width is --d_conv_dim",
    "netG": "its generator's depth is --g_repeat_num",
    "netD": "its discriminator's depth is --d_repeat_num",
    "n_layers_D": "its discriminator's depth is --d_repeat_num",
    **dict.fromkeys(("norm", "normG", "normD", "no_dropout"), "its norms are fixed, and there is no dropout"),
    **dict.fromkeys(("init_type", "init_gain"), "its networks start as PyTorch makes them"),
    **dict.fromkeys(("lambda_r1", "lazy_r1"), "its discriminator has the penalty of --lambda_gp"),
    "label_smoothing": "it is always WGAN, which has no labels",
    "num_D": "its discriminator also recognises domains, at one scale",
    "gan_mode": "it is always WGAN with a gradient penalty",
    "pool_size": "its discriminator is trained on new images only",
    "direction": "it translates in all directions; a test names them with --targets",
    "eval": "its norms always take an image's own statistics",
}

# The original's 200,000 iterations, and its intervals of 10 and 1,000 iterations of 16 images.
STARGAN_TRAINING = {
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

HAIR = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair")


def stargan(parser: Parser, is_train: bool = True) -> Parser:
    refuse(parser, "--model stargan", **STARGAN_INSTEAD)
    add_domain_flags(parser)
    flag = declare(parser, scope="network")
    flag("--c_dim", type=Int(1), default=5, help="attributes, or folders (none given: as many as the data has)")
    flag("--c2_dim", type=Int(1), default=8, help="folders beside attributes (none given: as many as the data has)")
    help = "attributes of which an image has exactly one"
    flag("--exclusive_attrs", nargs="+", default=[*HAIR], help=help, scope="data")
    flag("--g_conv_dim", type=Int(1), default=64, help="channels of the generator's first layer")
    flag("--d_conv_dim", type=Int(1), default=64, help="channels of the discriminator's first layer")
    flag("--g_repeat_num", type=Int(0), default=6, help="residual blocks of the generator")
    help = "layers of the discriminator, each of which halves the image"
    flag("--d_repeat_num", type=Int(1, 10), default=6, help=help)
    if not is_train:
        help = "e.g. Blond_Hair,Male,Brown_Hair+Male (none given: each, and the usual combinations)"
        flag("--targets", help=help, scope="run")
        return parser
    add_stargan_training(parser)
    parser.set_defaults(dataset_mode="celeba", **STARGAN_TRAINING)
    return parser


def add_stargan_training(parser: Parser) -> None:
    flag = declare(parser, scope="training")
    flag("--lambda_cls", type=Float(low=0), default=1.0, help="weight of the domain classification")
    flag("--lambda_rec", type=Float(low=0), default=10.0, help="weight of the reconstruction")
    help = "updates of the discriminator for an update of the generator"
    flag("--n_critic", type=Int(1), default=5, help=help)
    flag("--g_lr", type=Float(above=0), default=0.0001, help="first learning rate of the generator")
    flag("--d_lr", type=Float(above=0), default=0.0001, help="first learning rate of the discriminator")
    help = "a separate update for the gradient penalty, as in the first release"
    flag("--separate_gp", **SWITCH, default=False, help=help)
    help = "lower the learning rates as released: by 0.1 percent in all"
    flag("--original_lr_decay", **SWITCH, default=False, help=help)


def test(parser: Parser, is_train: bool = True) -> Parser:
    """The flags of ``--model test``, which is for test.py only."""
    if is_train:
        raise InputError("--model test: it is for test.py; choose another model to train")
    parser.set_defaults(dataset_mode="single")
    flag = declare(parser, scope="run")
    flag("--model_suffix", default="", help="loads <epoch>_net_G<model_suffix>.pth, e.g. _A")
    return parser


BY_NAME: dict[str, Callable] = {
    "pix2pix": pix2pix,
    "colorization": colorization,
    "cycle_gan": cycle_gan,
    "cut": cut,
    "fastcut": fastcut,
    "sincut": sincut,
    "dclgan": dclgan,
    "simdcl": simdcl,
    "stargan": stargan,
    "test": test,
}
