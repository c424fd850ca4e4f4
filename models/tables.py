"""What the flags offer and what is built from it: one table per flag, without importing torch.

The keys are the words a user may type (``options/`` checks against them); the values tell
``models/networks.py`` what to build, so that offered and built can't differ.
"""

from typing import NamedTuple


class Network(NamedTuple):
    """One word of ``--netG``, ``--netD`` or ``--netF``."""

    builds: str  # name of the class in models.networks
    arguments: dict  # constructor arguments that make the word differ from its neighbours
    stride: int = 1  # height and width of the input must be a multiple of this
    takes: tuple = ()  # which of the optional flags reach the constructor, by its names for them
    features: bool = False  # a generator that hands out feature maps; a projector that takes them, and ids of places


BLURS = ("no_antialias", "no_antialias_up")

GENERATORS = {
    "resnet_9blocks": Network("ResnetGenerator", {"n_blocks": 9}, stride=4, takes=BLURS, features=True),
    "resnet_6blocks": Network("ResnetGenerator", {"n_blocks": 6}, stride=4, takes=BLURS, features=True),
    "resnet_4blocks": Network("ResnetGenerator", {"n_blocks": 4}, stride=4, takes=BLURS, features=True),
    "unet_128": Network("UnetGenerator", {"num_downs": 7}, stride=128),
    "unet_256": Network("UnetGenerator", {"num_downs": 8}, stride=256),
}

DISCRIMINATORS = {
    "basic": Network("NLayerDiscriminator", {"n_layers": 3}, takes=("no_antialias",)),
    "n_layers": Network("NLayerDiscriminator", {}, takes=("n_layers", "no_antialias")),  # depth from --n_layers_D
    "pixel": Network("PixelDiscriminator", {}),
}

_SAMPLER = ("nc", "widths", "init_type", "init_gain")

PROJECTORS = {
    "mlp_sample": Network("PatchSampleF", {"use_mlp": True}, takes=_SAMPLER, features=True),
    "sample": Network("PatchSampleF", {"use_mlp": False}, takes=_SAMPLER, features=True),
    "reshape": Network("ReshapeF", {}),
    "global_pool": Network("PoolingF", {}),
    "strided_conv": Network("StridedConvF", {}, takes=("init_type", "init_gain")),
    "mapping": Network("MappingF", {}, takes=("in_layer", "nc", "init_type", "init_gain")),
}

SAMPLERS = tuple(word for word, net in PROJECTORS.items() if net.features)  # what --netF offers

NORMS = ("instance", "batch", "syncbatch", "none")
INITS = ("normal", "xavier", "kaiming", "orthogonal")
GAN_MODES = ("vanilla", "lsgan", "wgangp", "nonsaturating", "hinge")
SCHEDULES = ("linear", "step", "plateau", "cosine")

# Words that the originals accept and this version does not build yet: refused by name rather than as typos.
NOT_YET = ("stylegan2", "smallstylegan2", "tilestylegan2", "resnet_cat", "sincut", "patch")
