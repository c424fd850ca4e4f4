"""Networks by name: ``define_G`` and ``define_D`` look up a word of --netG or --netD, build, and initialise.

The words are in models/tables.py, the classes in models/architectures/; everything that a model or a plug-in
reaches as ``networks.X`` is listed below.
"""

import difflib

import torch
from torch.nn import init

from models.architectures.layers import (
    Downsample,
    Identity,
    UnfitSize,
    Upsample,
    get_filter,
    get_norm_layer,
    get_pad_layer,
)
from models.architectures.patchgan import NLayerDiscriminator, PixelDiscriminator
from models.architectures.resnet import ResnetBlock, ResnetGenerator
from models.architectures.unet import UnetGenerator, UnetSkipConnectionBlock
from models.losses import GANLoss, cal_gradient_penalty
from models.schedules import get_scheduler
from models.tables import DISCRIMINATORS, GENERATORS, NOT_YET

__all__ = [
    "Downsample",
    "GANLoss",
    "Identity",
    "NLayerDiscriminator",
    "PixelDiscriminator",
    "ResnetBlock",
    "ResnetGenerator",
    "UnetGenerator",
    "UnetSkipConnectionBlock",
    "UnfitSize",
    "Upsample",
    "cal_gradient_penalty",
    "define_D",
    "define_G",
    "get_filter",
    "get_norm_layer",
    "get_pad_layer",
    "get_scheduler",
    "init_net",
    "init_weights",
]

CLASSES = {made.__name__: made for made in (ResnetGenerator, UnetGenerator, NLayerDiscriminator, PixelDiscriminator)}


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


FILL_WEIGHT = {
    "normal": lambda weight, gain: init.normal_(weight, 0.0, gain),
    "xavier": lambda weight, gain: init.xavier_normal_(weight, gain=gain),
    "kaiming": lambda weight, gain: init.kaiming_normal_(weight, a=0, mode="fan_in"),  # the gain is not its business
    "orthogonal": lambda weight, gain: init.orthogonal_(weight, gain=gain),
}


def init_weights(net, init_type="normal", init_gain=0.02, debug=False):
    """Draw the weights of every convolution and linear layer, set their biases to 0, and return the network.

    Layers are known by their class names, so those of plug-ins count too. BatchNorm2d scales are drawn from
    N(1, init_gain); other norms stay as built. `debug` prints the class of each layer that is drawn.
    """
    if init_type not in FILL_WEIGHT:
        raise ValueError(f"--init_type {init_type}: choose one of {', '.join(FILL_WEIGHT)}")
    for layer in net.modules():
        name = type(layer).__name__
        weight, bias = getattr(layer, "weight", None), getattr(layer, "bias", None)
        if not isinstance(weight, torch.Tensor):
            continue
        if "Conv" in name or "Linear" in name:
            FILL_WEIGHT[init_type](weight.data, init_gain)
        elif "BatchNorm2d" in name:
            init.normal_(weight.data, 1.0, init_gain)
        else:
            continue
        if isinstance(bias, torch.Tensor):
            init.zeros_(bias.data)
        if debug:
            print(name)
    return net


def init_net(net, init_type="normal", init_gain=0.02, gpu_ids=(), debug=False, initialize_weights=True):
    """Initialise a hand-made network and move it to the GPU of `gpu_ids`, if any; returns it.

    Weights are drawn where the network stands, usually on the CPU: one seed then makes them alike on every device.
    """
    if initialize_weights:
        init_weights(net, init_type, init_gain, debug)
    return _place(net, gpu_ids)
