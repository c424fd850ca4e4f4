"""The values of the flags that choose networks, norms, losses and schedules. This file doesn't import torch.

GENERATORS, DISCRIMINATORS and PROJECTORS map a value of --netG, --netD and --netF to a row: ``options/`` accepts the
keys as values of the flags, and ``models/networks.py`` builds the network that the row describes.

To add a network, write its class in a file of ``models/architectures/`` and add one row here. The constructor gets
``(input_nc, output_nc, ngf=, norm_layer=, use_dropout=)`` for a generator, ``(input_nc, ndf=, norm_layer=)`` for a
discriminator, and nothing for a projector; in addition, the row's ``arguments`` and the flags in ``takes``.
"""

import math
from typing import Any, NamedTuple


class Network(NamedTuple):
    """The row of one value of ``--netG``, ``--netD`` or ``--netF``."""

    builds: str  # file and class under models/architectures, as in "resnet.ResnetGenerator"
    arguments: dict  # constructor arguments that distinguish this value from others with the same class
    stride: int = 1  # height and width of the input must be multiples of it ...
    halvings: str = ""  # ... or of 2 to the power of this flag's value; see stride_of
    takes: tuple = ()  # the optional constructor arguments that come from flags, see define_G, define_D, define_F
    # Generator and discriminator: forward() can return feature maps; projector: forward() takes them and patch ids.
    # --num_D works with discriminators that have features.
    features: bool = False
    ignores: tuple = ()  # network flags without effect on it; a line is printed if one of them is given


BLURS = ("no_antialias", "no_antialias_up")
STYLEGAN2: dict[str, Any] = {
    "stride": 1,
    "halvings": "stylegan2_G_num_downsampling",
    "takes": ("size", "num_downsampling"),
    "features": True,
    "ignores": ("norm", "normG", "no_dropout", *BLURS),
}

GENERATORS = {
    "resnet_9blocks": Network("resnet.ResnetGenerator", {"n_blocks": 9}, stride=4, takes=BLURS, features=True),
    "resnet_6blocks": Network("resnet.ResnetGenerator", {"n_blocks": 6}, stride=4, takes=BLURS, features=True),
    "resnet_4blocks": Network("resnet.ResnetGenerator", {"n_blocks": 4}, stride=4, takes=BLURS, features=True),
    "unet_128": Network("unet.UnetGenerator", {"num_downs": 7}, stride=128),
    "unet_256": Network("unet.UnetGenerator", {"num_downs": 8}, stride=256),
    "stylegan2": Network("stylegan2.StyleGAN2Generator", {"n_blocks": 6}, **STYLEGAN2),
    "smallstylegan2": Network("stylegan2.StyleGAN2Generator", {"n_blocks": 2, "injects_noise": False}, **STYLEGAN2),
}

NORMS_OF_D: dict[str, Any] = {"ignores": ("norm", "normD", "n_layers_D")}

DISCRIMINATORS = {
    "basic": Network("patchgan.NLayerDiscriminator", {"n_layers": 3}, takes=("no_antialias",), features=True),
    "n_layers": Network("patchgan.NLayerDiscriminator", {}, takes=("n_layers", "no_antialias"), features=True),
    "pixel": Network("patchgan.PixelDiscriminator", {}, features=True),
    "stylegan2": Network("stylegan2.StyleGAN2Discriminator", {}, takes=("size",), **NORMS_OF_D),
    "tilestylegan2": Network("stylegan2.StyleGAN2Discriminator", {}, takes=("size", "tile"), **NORMS_OF_D),
    "patchstylegan2": Network("stylegan2.PatchStyleGAN2Discriminator", {}, takes=("size",), **NORMS_OF_D),
    "smallpatchstylegan2": Network(
        "stylegan2.PatchStyleGAN2Discriminator", {"last_side": 16}, takes=("size",), **NORMS_OF_D
    ),
}
FIXED_SIZE = ("stylegan2", "tilestylegan2")  # discriminators for images of one size

SAMPLING = ("nc", "widths", "init_type", "init_gain")

PROJECTORS = {
    "mlp_sample": Network("patch_sampler.PatchSampleF", {"use_mlp": True}, takes=SAMPLING, features=True),
    "sample": Network(
        "patch_sampler.PatchSampleF", {"use_mlp": False}, takes=SAMPLING, features=True, ignores=("netF_nc",)
    ),
    "reshape": Network("patch_sampler.ReshapeF", {}, features=True, ignores=("netF_nc", "num_patches")),
    "global_pool": Network("patch_sampler.PoolingF", {}, features=True, ignores=("netF_nc", "num_patches")),
    "strided_conv": Network("patch_sampler.StridedConvF", {}, takes=("init_type", "init_gain")),
    "mapping": Network("patch_sampler.MappingF", {}, takes=("in_layer", "nc", "init_type", "init_gain")),
}

SAMPLERS = tuple(word for word, net in PROJECTORS.items() if net.features)  # the values that --netF offers

NORMS = ("instance", "batch", "syncbatch", "none")
INITS = ("normal", "xavier", "kaiming", "orthogonal")
WITH_LABELS = ("vanilla", "lsgan")  # the modes that --label_smoothing works with
GAN_MODES = ("vanilla", "lsgan", "wgangp", "nonsaturating", "hinge")
AUGMENTATIONS = ("color", "translation", "cutout")
PERCEPTUAL = ("vgg", "lpips")
SCHEDULES = ("linear", "step", "plateau", "cosine")

# Values that the original programs list but cannot build: the error message gives the reason.
NEVER_WORKED = {
    "resnet_cat": "the originals can't build it: it needs an option --nz that none of their programs declares, and its "
    "forward pass returns no features",
    "patch": "the originals list it but build no network for it; basic is the usual PatchGAN",
    "strided_conv": "the originals can't train with it: its layers are made for one size of map, and its running means "
    "are in no checkpoint",
}


def stride_of(opt) -> int:
    """Height and width of the input of the generator that ``opt.netG`` names must be multiples of this number."""
    row = GENERATORS[opt.netG]
    return 2 ** getattr(opt, row.halvings, 1) if row.halvings else row.stride


def smallest_for_D(opt) -> int:
    """Side of the smallest image that leaves the PatchGAN of ``opt.netD`` a logit at each of --num_D scales."""
    row = DISCRIMINATORS[opt.netD]
    halvings = opt.n_layers_D if "n_layers" in row.takes else row.arguments.get("n_layers")
    return (3 * 2**halvings if halvings else 1) * 2 ** (opt.num_D - 1)


def stylegan2_size(opt) -> int:
    """The image side that sets the channel counts of StyleGAN2's networks: --stylegan2_size, or the power of two
    closest to the side of the training images; 256 if `opt` has no sizes."""
    given = getattr(opt, "stylegan2_size", None)
    sizes = [getattr(opt, name, 256) for name in ("load_size", "crop_size")]  # numbers or (height, width)
    side = min(min(size) if isinstance(size, tuple) else size for size in sizes)
    return given or 2 ** max(2, round(math.log2(side)))
