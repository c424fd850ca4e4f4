"""The values that the flags offer, and what is built from them. This file doesn't import torch.

GENERATORS, DISCRIMINATORS and PROJECTORS map a value of --netG, --netD and --netF to a row: ``options/`` checks flags
against the keys, ``models/networks.py`` builds what the row states, so what is offered and what is built can't differ.

To add a network, write its class in a file of ``models/architectures/`` and add one row here. Its constructor gets
``(input_nc, output_nc, ngf=, norm_layer=, use_dropout=)`` as a generator, ``(input_nc, ndf=, norm_layer=)`` as a
discriminator and nothing as a projector; then the row's ``arguments`` and the flags that ``takes`` lists.
"""

from typing import NamedTuple


class Network(NamedTuple):
    """The row of one value of ``--netG``, ``--netD`` or ``--netF``."""

    builds: str  # file and class under models/architectures, as in "resnet.ResnetGenerator"
    arguments: dict  # constructor arguments that distinguish this value from others with the same class
    stride: int = 1  # height and width of the input must be a multiple of it
    takes: tuple = ()  # the optional constructor arguments that come from flags, see define_G, define_D, define_F
    features: bool = False  # generator: forward() can return feature maps; projector: takes them and patch ids


BLURS = ("no_antialias", "no_antialias_up")

GENERATORS = {
    "resnet_9blocks": Network("resnet.ResnetGenerator", {"n_blocks": 9}, stride=4, takes=BLURS, features=True),
    "resnet_6blocks": Network("resnet.ResnetGenerator", {"n_blocks": 6}, stride=4, takes=BLURS, features=True),
    "resnet_4blocks": Network("resnet.ResnetGenerator", {"n_blocks": 4}, stride=4, takes=BLURS, features=True),
    "unet_128": Network("unet.UnetGenerator", {"num_downs": 7}, stride=128),
    "unet_256": Network("unet.UnetGenerator", {"num_downs": 8}, stride=256),
}

DISCRIMINATORS = {
    "basic": Network("patchgan.NLayerDiscriminator", {"n_layers": 3}, takes=("no_antialias",)),
    "n_layers": Network("patchgan.NLayerDiscriminator", {}, takes=("n_layers", "no_antialias")),
    "pixel": Network("patchgan.PixelDiscriminator", {}),
}

SAMPLING = ("nc", "widths", "init_type", "init_gain")

PROJECTORS = {
    "mlp_sample": Network("patch_sampler.PatchSampleF", {"use_mlp": True}, takes=SAMPLING, features=True),
    "sample": Network("patch_sampler.PatchSampleF", {"use_mlp": False}, takes=SAMPLING, features=True),
    "reshape": Network("patch_sampler.ReshapeF", {}),
    "global_pool": Network("patch_sampler.PoolingF", {}),
    "strided_conv": Network("patch_sampler.StridedConvF", {}, takes=("init_type", "init_gain")),
    "mapping": Network("patch_sampler.MappingF", {}, takes=("in_layer", "nc", "init_type", "init_gain")),
}

SAMPLERS = tuple(word for word, net in PROJECTORS.items() if net.features)  # the values that --netF offers

NORMS = ("instance", "batch", "syncbatch", "none")
INITS = ("normal", "xavier", "kaiming", "orthogonal")
GAN_MODES = ("vanilla", "lsgan", "wgangp", "nonsaturating", "hinge")
SCHEDULES = ("linear", "step", "plateau", "cosine")

# Values that the originals accept and this version does not build: refused as such, and not as typing errors.
NOT_YET = ("stylegan2", "smallstylegan2", "tilestylegan2", "resnet_cat", "sincut", "patch")
