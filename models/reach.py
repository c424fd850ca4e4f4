"""The reach of a generator, the radius of its receptive field: the largest distance between a pixel of the result and
an input pixel on which it depends.

It is measured with a strip of an image that is NaN in a block in the middle: results that depend on the block become
NaN. The strip passes a copy of the network on the CPU in float64, where convolutions are computed directly. Norms are
left out, because tiles share their statistics (models/tiling.py).
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from models.architectures.adjustable import BATCH_NORM, DROPOUT, INSTANCE_NORM
from util.errors import Notice

LONGEST = 256  # pixels; a network with a larger reach would need windows many times larger than their tiles
USUAL = 64  # pixels of overlap for networks that no overlap makes exact


def reach_of_call(nets: Sequence[nn.Module], call: Callable[[], Any]) -> int | None:
    """The sum of the reach() of the networks among `nets` that call() runs one after another; None if one is None."""
    calls: list = []
    hooks = [net.register_forward_pre_hook(lambda net, inputs: calls.append((net, inputs))) for net in nets]
    try:
        call()
    finally:
        for hook in hooks:
            hook.remove()
    with torch.random.fork_rng(devices=[]):
        reaches = [reach(net, inputs) for net, inputs in calls]
    return None if None in reaches else sum(each for each in reaches if each)


def reach(net: nn.Module, inputs: tuple) -> int | None:
    """The reach in pixels; None if it is larger than LONGEST, as for a U-Net of many halvings.

    `inputs` are those of a call of the network, the images (N, C, H, W) first; the values of the images are not used.
    """
    multiple = getattr(net, "multiple_of", 4)
    if multiple > LONGEST // 4:
        return None
    images, *conditions = (_as_double(each) for each in inputs)
    margin = (LONGEST // multiple + 1) * multiple
    height = math.ceil(getattr(net, "smallest", 16) / multiple) * multiple
    strip = images.new_zeros(1, images.shape[1], height, 2 * margin + multiple)
    strip[..., margin : margin + multiple] = math.nan
    conditions = [each[:1] if isinstance(each, torch.Tensor) else each for each in conditions]
    with torch.no_grad():
        made = _still(net)(strip, *conditions)
    touched = made.isnan().any(dim=2).any(dim=1)[0].nonzero()
    if not len(touched):
        return 0
    # Any pixel of the block may have the largest distance, so the width of the block is added.
    longest = max(margin - int(touched[0]), int(touched[-1]) - margin - multiple + 1) + multiple - 1
    return longest if longest <= LONGEST else None


def overlap_for(given: int | None, reach: int | None, multiple: int, nets: Sequence[nn.Module]) -> int:
    """The overlap of tiles for generators `nets` with this reach; warns with a Notice if the result is not exact."""
    needed = None if reach is None else -(-4 * reach // (3 * multiple)) * multiple
    overlap = given if given is not None else USUAL if needed is None else needed
    if needed is None:
        _say(
            f"tile: results of the generator depend on pixels more than {LONGEST} away, and a tile gets {overlap} "
            "around it: the result differs from that of the whole image"
        )
    elif overlap < needed:
        _say(
            f"tile_overlap {overlap}: the generator needs {needed} for the result of the whole image; near the borders "
            "of tiles the result differs slightly"
        )
    if any(isinstance(part, DROPOUT) and part.training for net in nets for part in net.modules()):
        _say("tile: dropout draws other numbers in each tile: the result differs from that of the whole image")
    return overlap


def _say(text: str) -> None:
    warnings.warn(Notice(text), stacklevel=2)


def _as_double(value: Any) -> Any:
    if not isinstance(value, torch.Tensor):
        return value
    return value.detach().cpu().double() if value.is_floating_point() else value.cpu()


def _still(net: nn.Module) -> nn.Module:
    """A copy in float64 on the CPU, without norms."""
    net = copy.deepcopy(net).cpu().double()
    net._compiled_call_impl = None
    for module in list(net.modules()):
        for name, part in module.named_children():
            if isinstance(part, (INSTANCE_NORM, BATCH_NORM)):
                setattr(module, name, nn.Identity())
    return net
