"""The entry to all networks: ``define_G``, ``define_D`` and ``define_F`` build the network of --netG, --netD or --netF.

models/tables.py lists the values of these flags and their networks; a new network is a class in models/architectures/
and a row there. Models and plug-ins reach everything in ``__all__`` as ``networks.<name>``.

A network may have these attributes, which models/fit_out.py and util/numerics read:

``keeps_float32``          True: it stays in float32 under --precision bf16 and fp16
``returns_half_features``  True: under --precision bf16 and fp16 the lists in its output stay in half precision
``draw, with_draws``       for a network that draws random numbers, under --compile (see util/numerics/compiling.py)
"""

import difflib
import functools
import importlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn import init
from torch.optim import lr_scheduler

from models import losses
from models.architectures.for_plugins import (
    GroupedChannelNorm,
    PatchDiscriminator,
    ResnetDecoder,
    ResnetEncoder,
    Upsample2,
)
from models.architectures.layers import (
    Downsample,
    Identity,
    UnfitSize,
    Upsample,
    get_filter,
    get_norm_layer,
    get_pad_layer,
    init_weights,
    normalise_spectrally,
)
from models.architectures.patch_sampler import MappingF, Normalize, PatchSampleF, PoolingF, ReshapeF, StridedConvF
from models.architectures.patchgan import MultiScaleDiscriminator, NLayerDiscriminator, PixelDiscriminator
from models.architectures.resnet import ResnetBlock, ResnetGenerator
from models.architectures.stargan import StarGANDiscriminator, StarGANGenerator, counted
from models.architectures.stylegan2 import (
    PatchStyleGAN2Discriminator,
    StyleGAN2Discriminator,
    StyleGAN2Generator,
)
from models.architectures.unet import UnetGenerator, UnetSkipConnectionBlock
from models.losses import CosinePatchNCELoss, GANLoss, PatchNCELoss, patch_nce
from models.schedules import get_scheduler
from models.tables import DISCRIMINATORS, GENERATORS, NEVER_WORKED, PROJECTORS, Network, stylegan2_size
from util.numerics.precision import full_precision

# Includes the modules that users' files import by ``from .networks import *``, as from the original file.
__all__ = [
    "CosinePatchNCELoss",
    "Downsample",
    "F",
    "GANLoss",
    "GroupedChannelNorm",
    "Identity",
    "MappingF",
    "MultiScaleDiscriminator",
    "NLayerDiscriminator",
    "Normalize",
    "PatchDiscriminator",
    "PatchNCELoss",
    "PatchSampleF",
    "PatchStyleGAN2Discriminator",
    "PixelDiscriminator",
    "PoolingF",
    "ReshapeF",
    "ResnetBlock",
    "ResnetDecoder",
    "ResnetEncoder",
    "ResnetGenerator",
    "StarGANDiscriminator",
    "StarGANGenerator",
    "StridedConvF",
    "StyleGAN2Discriminator",
    "StyleGAN2Generator",
    "UnetGenerator",
    "UnetSkipConnectionBlock",
    "UnfitSize",
    "Upsample",
    "Upsample2",
    "cal_gradient_penalty",
    "counted",
    "define_D",
    "define_F",
    "define_G",
    "functools",
    "get_filter",
    "get_norm_layer",
    "get_pad_layer",
    "get_scheduler",
    "init",
    "init_net",
    "init_weights",
    "lazy_r1",
    "lr_scheduler",
    "nn",
    "normalise_spectrally",
    "np",
    "patch_nce",
    "r1_penalty",
    "torch",
]

# In full precision and without torch.compile: second derivatives are too coarse in half precision, and can't be
# compiled.
cal_gradient_penalty = full_precision()(losses.cal_gradient_penalty)
r1_penalty = full_precision()(losses.r1_penalty)
lazy_r1 = full_precision()(losses.lazy_r1)


def define_G(
    input_nc: int,
    output_nc: int,
    ngf: int,
    netG: str,
    norm: str = "batch",
    use_dropout: bool = False,
    init_type: str = "normal",
    init_gain: float = 0.02,
    no_antialias: bool | Sequence[int] = True,
    no_antialias_up: bool = True,
    gpu_ids: Sequence[int] = (),
    opt=None,
) -> nn.Module:
    """The initialised generator for a value of --netG, on the GPU of `gpu_ids`, or else on ``opt.device``.

    The ninth argument is no_antialias, as in CUT; a list there is gpu_ids, as in pytorch-CycleGAN-and-pix2pix.
    StyleGAN2's networks read their size from `opt`, and so does define_D.
    """
    no_antialias, gpu_ids = _tell_apart(no_antialias, gpu_ids)
    row = _look_up("netG", netG, GENERATORS)
    halvings = getattr(opt, "stylegan2_G_num_downsampling", 1)
    flags: dict[str, Any] = {"no_antialias": no_antialias, "no_antialias_up": no_antialias_up}
    flags |= {"size": stylegan2_size(opt), "num_downsampling": halvings}
    arguments = {"ngf": ngf, "norm_layer": get_norm_layer(norm), "use_dropout": use_dropout}
    net = _build(row, flags, input_nc, output_nc, **arguments)
    return _place(init_weights(net, init_type, init_gain), gpu_ids, opt)


def define_D(
    input_nc: int,
    ndf: int,
    netD: str,
    n_layers_D: int = 3,
    norm: str = "batch",
    init_type: str = "normal",
    init_gain: float = 0.02,
    no_antialias: bool | Sequence[int] = True,
    gpu_ids: Sequence[int] = (),
    opt=None,
    num_D: int = 1,
) -> nn.Module:
    """The initialised discriminator for a value of --netD, on the GPU of `gpu_ids`, or else on ``opt.device``.

    The eighth argument is no_antialias, as in CUT; a list there is gpu_ids, as in pytorch-CycleGAN-and-pix2pix.
    With `num_D` above 1, discriminators at this number of scales of the image, which return a list of maps of logits.
    """
    no_antialias, gpu_ids = _tell_apart(no_antialias, gpu_ids)
    row = _look_up("netD", netD, DISCRIMINATORS)
    flags: dict[str, Any] = {"n_layers": n_layers_D, "no_antialias": no_antialias}
    flags |= {"size": stylegan2_size(opt), "tile": getattr(opt, "D_patch_size", None)}
    nets = [_build(row, flags, input_nc, ndf=ndf, norm_layer=get_norm_layer(norm)) for _ in range(num_D)]
    net = nets[0] if num_D == 1 else MultiScaleDiscriminator(nets)
    return _place(init_weights(net, init_type, init_gain), gpu_ids, opt)


def define_F(
    input_nc: int,
    netF: str,
    norm: str = "batch",
    use_dropout: bool = False,
    init_type: str = "normal",
    init_gain: float = 0.02,
    no_antialias: bool = False,
    gpu_ids: Sequence[int] = (),
    opt=None,
    widths: Sequence[int] | None = None,
) -> nn.Module:
    """The initialised projector for a value of --netF, on the GPU of `gpu_ids`, or else on ``opt.device``.

    `widths` are the channels of the feature maps that it will get; without them a projector with weights creates its
    layers in its first forward pass. For ``mapping``, `input_nc` is the number of feature maps. norm, use_dropout and
    no_antialias are not read; callers of the original pass them. ``opt.netF_nc`` is the length of the vectors.
    """
    row = _look_up("netF", netF, PROJECTORS)
    flags = {"init_type": init_type, "init_gain": init_gain, "widths": widths, "in_layer": input_nc}
    return _place(_build(row, {**flags, "nc": getattr(opt, "netF_nc", 256)}), gpu_ids, opt)


def _tell_apart(flag_or_ids, gpu_ids):
    """(no_antialias, gpu_ids) from an argument that is either; callers that pass gpu_ids there have no antialiasing."""
    if isinstance(flag_or_ids, (list, tuple)):
        return True, flag_or_ids
    return bool(flag_or_ids), gpu_ids


def _look_up(flag: str, value: str, table: Mapping[str, Network]) -> Network:
    if value in table:
        return table[value]
    choices = f"choose one of {', '.join(table)}"
    if value in NEVER_WORKED:
        raise ValueError(f"--{flag} {value}: {NEVER_WORKED[value]}; {choices}")
    close = difflib.get_close_matches(str(value), table, n=1)
    raise ValueError(f"--{flag} {value}: {choices}" + (f" (did you mean {close[0]!r}?)" if close else ""))


def _build(row: Network, flags, *channels, **arguments) -> nn.Module:
    file, name = row.builds.split(".")
    made_by = getattr(importlib.import_module(f"models.architectures.{file}"), name)
    taken = {name: flags[name] for name in row.takes}
    return made_by(*channels, **arguments, **row.arguments, **taken)


def _place(net: nn.Module, gpu_ids: Sequence[int], opt=None) -> nn.Module:
    device = torch.device("cuda", gpu_ids[0]) if gpu_ids else getattr(opt, "device", None)
    return net if device is None else net.to(device)


def init_net(
    net: nn.Module,
    init_type: str = "normal",
    init_gain: float = 0.02,
    gpu_ids: Sequence[int] = (),
    debug: bool = False,
    initialize_weights: bool = True,
) -> nn.Module:
    """Initialise a network and move it to the GPU of `gpu_ids`, if any; returns it.

    Weights are drawn before the move, so that a seed gives the same weights on every device.
    """
    if initialize_weights:
        init_weights(net, init_type, init_gain, debug)
    return _place(net, gpu_ids)
