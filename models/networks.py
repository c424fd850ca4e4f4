"""Networks by name: ``define_G``, ``define_D`` and ``define_F`` look up a word of --netG ..., build, and initialise.

The words are in models/tables.py, the classes in models/architectures/; everything that a model or a plug-in
reaches as ``networks.X`` is listed below.
"""

import difflib

import torch

from models import losses
from models.architectures.initialization import init_weights
from models.architectures.layers import (
    Downsample,
    Identity,
    UnfitSize,
    Upsample,
    get_filter,
    get_norm_layer,
    get_pad_layer,
)
from models.architectures.patch_sampler import Normalize, PatchSampleF, PoolingF, ReshapeF, StridedConvF
from models.architectures.patchgan import NLayerDiscriminator, PixelDiscriminator
from models.architectures.resnet import ResnetBlock, ResnetGenerator
from models.architectures.similarity import MappingF
from models.architectures.stargan import StarGANDiscriminator, StarGANGenerator, counted
from models.architectures.unet import UnetGenerator, UnetSkipConnectionBlock
from models.losses import CosinePatchNCELoss, GANLoss, PatchNCELoss, patch_nce
from models.schedules import get_scheduler
from models.tables import DISCRIMINATORS, GENERATORS, NOT_YET, PROJECTORS
from util.numerics.precision import full_precision

__all__ = [
    "CosinePatchNCELoss",
    "Downsample",
    "GANLoss",
    "Identity",
    "MappingF",
    "NLayerDiscriminator",
    "Normalize",
    "PatchNCELoss",
    "PatchSampleF",
    "PixelDiscriminator",
    "PoolingF",
    "ReshapeF",
    "ResnetBlock",
    "ResnetGenerator",
    "StarGANDiscriminator",
    "StarGANGenerator",
    "StridedConvF",
    "UnetGenerator",
    "UnetSkipConnectionBlock",
    "UnfitSize",
    "Upsample",
    "cal_gradient_penalty",
    "counted",
    "define_D",
    "define_F",
    "define_G",
    "get_filter",
    "get_norm_layer",
    "get_pad_layer",
    "get_scheduler",
    "init_net",
    "init_weights",
    "patch_nce",
]

# Gradients of gradients are too coarse in half precision, and compiled networks have none.
cal_gradient_penalty = full_precision()(losses.cal_gradient_penalty)

_GENERATORS = (ResnetGenerator, UnetGenerator)
_DISCRIMINATORS = (NLayerDiscriminator, PixelDiscriminator)
_PROJECTORS = (PatchSampleF, ReshapeF, PoolingF, StridedConvF, MappingF)
CLASSES = {made.__name__: made for made in (*_GENERATORS, *_DISCRIMINATORS, *_PROJECTORS)}


def define_G(
    input_nc,
    output_nc,
    ngf,
    netG,
    norm="batch",
    use_dropout=False,
    init_type="normal",
    init_gain=0.02,
    no_antialias=True,
    no_antialias_up=True,
    gpu_ids=(),
    opt=None,
):
    """The generator that `netG` names, initialised, on the GPU of `gpu_ids`, or else on ``opt.device``.

    The ninth argument may be gpu_ids, a list, as in one half of the family; it is no_antialias in the other.
    """
    no_antialias, gpu_ids = _tell_apart(no_antialias, gpu_ids)
    entry = _look_up("netG", netG, GENERATORS)
    flags = {"no_antialias": no_antialias, "no_antialias_up": no_antialias_up}
    arguments = {"ngf": ngf, "norm_layer": get_norm_layer(norm), "use_dropout": use_dropout}
    net = _build(entry, flags, input_nc, output_nc, **arguments)
    return _place(init_weights(net, init_type, init_gain), gpu_ids, opt)


def define_D(
    input_nc,
    ndf,
    netD,
    n_layers_D=3,
    norm="batch",
    init_type="normal",
    init_gain=0.02,
    no_antialias=True,
    gpu_ids=(),
    opt=None,
):
    """The discriminator that `netD` names, initialised, on the GPU of `gpu_ids`, or else on ``opt.device``.

    The eighth argument may be gpu_ids, a list, as in one half of the family; it is no_antialias in the other.
    """
    no_antialias, gpu_ids = _tell_apart(no_antialias, gpu_ids)
    entry = _look_up("netD", netD, DISCRIMINATORS)
    flags = {"n_layers": n_layers_D, "no_antialias": no_antialias}
    net = _build(entry, flags, input_nc, ndf=ndf, norm_layer=get_norm_layer(norm))
    return _place(init_weights(net, init_type, init_gain), gpu_ids, opt)


def define_F(
    input_nc,
    netF,
    norm="batch",
    use_dropout=False,
    init_type="normal",
    init_gain=0.02,
    no_antialias=False,
    gpu_ids=(),
    opt=None,
    widths=None,
):
    """The projector that `netF` names, initialised, on the GPU of `gpu_ids`, or else on ``opt.device``.

    `widths` are the channels of the feature maps that it will get; without them a projector with weights builds
    itself in its first forward. `input_nc` is the number of maps for ``mapping``; norm, dropout and antialiasing are
    there for callers of the original and not read. ``opt.netF_nc`` is the length of the vectors.
    """
    entry = _look_up("netF", netF, PROJECTORS)
    flags = {"init_type": init_type, "init_gain": init_gain, "widths": widths, "in_layer": input_nc}
    return _place(_build(entry, {**flags, "nc": getattr(opt, "netF_nc", 256)}), gpu_ids, opt)


def _tell_apart(flag_or_ids, gpu_ids):
    """(no_antialias, gpu_ids) of a position that holds either; without a flag the network is the plain one."""
    if isinstance(flag_or_ids, (list, tuple)):
        return True, flag_or_ids
    return bool(flag_or_ids), gpu_ids


def _look_up(flag, word, table):
    if word in table:
        return table[word]
    choices = f"choose one of {', '.join(table)}"
    if word in NOT_YET:
        raise ValueError(f"--{flag} {word}: an architecture of the originals that is not built here; {choices}")
    close = difflib.get_close_matches(str(word), table, n=1)
    raise ValueError(f"--{flag} {word}: {choices}" + (f" (did you mean {close[0]!r}?)" if close else ""))


def _build(entry, flags, *channels, **arguments):
    taken = {name: flags[name] for name in entry.takes}
    return CLASSES[entry.builds](*channels, **arguments, **entry.arguments, **taken)


def _place(net, gpu_ids, opt=None):
    device = torch.device("cuda", gpu_ids[0]) if gpu_ids else getattr(opt, "device", None)
    return net if device is None else net.to(device)


def init_net(net, init_type="normal", init_gain=0.02, gpu_ids=(), debug=False, initialize_weights=True):
    """Initialise a hand-made network and move it to the GPU of `gpu_ids`, if any; returns it.

    Weights are drawn where the network stands, usually on the CPU: one seed then makes them alike on every device.
    """
    if initialize_weights:
        init_weights(net, init_type, init_gain, debug)
    return _place(net, gpu_ids)
