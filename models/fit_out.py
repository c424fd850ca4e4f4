"""Changes how the networks of a model are executed, by flags; no other module does so after a network is built.

The result of a network stays the same, except for the rounding of another precision. The steps and their order:

before the weights are loaded
    1. device: the later steps, and loading, then work on the device of the run
    2. --channels_last: loading copies weights into the parameters, so the memory layout made here is kept
    3. --deterministic, which takes precedence over the padding of step 2
    4. --grad_checkpoint
after the weights are loaded, because load_networks() of a plug-in may replace the network objects
    5. --precision: runs forward() under autocast
    6. --compile: last, because it compiles the forward() that the other steps have changed

The layers and blocks of built-in networks have attributes for these steps. Networks of plug-ins consist of plain torch
layers, which steps 2 and 3 first turn into the layers of models/architectures/adjustable.py. Steps 5 and 6 work on
every network.
"""

from typing import Any

import torch
from torch import nn

from models.architectures.adjustable import ReflectionPad2d, make_adjustable
from util.numerics.compiling import compile_networks
from util.numerics.precision import Precision


def before_loading(nets: dict[str, nn.Module], opt, device: torch.device) -> None:
    """Steps 1 to 4 for the networks of a model, {name: network}; flags that `opt` lacks count as not given."""
    for net in nets.values():
        net.to(device)
        if getattr(opt, "channels_last", False):
            use_channels_last(net)
        if getattr(opt, "deterministic", False) and device.type == "cuda":  # on the CPU every padding is repeatable
            pad_deterministically(net)
    if getattr(opt, "grad_checkpoint", False):
        found = [recompute_blocks(net) for net in nets.values()]
        if not any(found):
            print("--grad_checkpoint: these networks have no blocks with gradient checkpointing, so it has no effect")


def after_loading(nets: dict[str, nn.Module], opt, device: torch.device, precision: Precision) -> None:
    """Steps 5 and 6 for the networks of a model, {name: network}."""
    for net in nets.values():
        precision.use_autocast(net)
    compile_networks(nets, getattr(opt, "compile", "none"), device)


def use_channels_last(net: nn.Module) -> nn.Module:
    """Store the weights as (N, H, W, C), and let norms and paddings keep this layout. Returns the network.

    Images need no conversion: the output of a convolution has the layout of its weights. Values and gradients are the
    same except for rounding; dropout draws its mask in memory order, so it drops other elements.
    """
    for module in net.modules():
        layer = make_adjustable(module)
        if hasattr(layer, "keeps_layout"):
            layer.keeps_layout = True
    return net.to(memory_format=torch.channels_last)


def pad_deterministically(net: nn.Module) -> nn.Module:
    """Let every reflection padding sum its gradients in a fixed order; values stay the same. Returns the network."""
    for module in net.modules():
        layer = make_adjustable(module)
        if isinstance(layer, ReflectionPad2d):
            layer.deterministic = True
    return net


def recompute_blocks(net: nn.Module) -> bool:
    """Switch on gradient checkpointing in all blocks with an attribute `recomputes`; returns whether there are any."""
    blocks: list[Any] = [module for module in net.modules() if hasattr(module, "recomputes")]
    for block in blocks:
        block.recomputes = True
    return bool(blocks)
