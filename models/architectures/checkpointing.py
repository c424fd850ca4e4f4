"""--grad_checkpoint: a generator that forgets what is inside its blocks, and computes it again in the backward pass.

Chen, Xu, Zhang, Guestrin, "Training Deep Nets with Sublinear Memory Cost", 2016. Gradients are the same; dropout
draws the same numbers again, and running statistics count a pass once.
"""

import contextlib
import types

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from models.architectures.resnet import ResnetBlock
from models.architectures.stargan import ResidualBlock
from models.architectures.unet import UnetSkipConnectionBlock


def checkpoint_blocks(net):
    """Let residual blocks and a U-Net's levels be computed again in backward; returns whether there are any.

    Classes and keys stay. A feature that is taken between blocks is kept as ever. Before the network is compiled.
    """
    found = False
    for module in net.modules():
        for kind, forward in FORWARDS.items():
            if isinstance(module, kind):
                module.forward = types.MethodType(forward, module)
                found = True
    return found


def recomputed(layers, x):
    """x through the layers, of which x is all that is kept."""
    # What the first layers do in place would be done twice to what is kept.
    while layers and getattr(layers[0], "inplace", False):
        x, layers = layers[0](x), layers[1:]
    modules = [module for layer in layers for module in layer.modules()]
    counting = [module for module in modules if getattr(module, "track_running_stats", False)]
    # torch.compile can't trace the second pass that doesn't count; it looks itself for what is cheap to compute again.
    if not layers or not torch.is_grad_enabled() or (counting and torch.compiler.is_compiling()):
        return _run(layers, x)
    once = {"context_fn": lambda: (contextlib.nullcontext(), _uncounted(counting))} if counting else {}
    draws = any(isinstance(module, nn.modules.dropout._DropoutNd) for module in modules)
    return checkpoint(_run, layers, x, use_reentrant=False, preserve_rng_state=draws, **once)


def _run(layers, x):
    for layer in layers:
        x = layer(x)
    return x


@contextlib.contextmanager
def _uncounted(norms):
    """In here norms leave their running statistics alone."""
    before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    try:
        for norm in norms:
            norm.momentum, norm.num_batches_tracked = 0.0, None
        yield
    finally:
        for norm, (momentum, count) in zip(norms, before):
            norm.momentum, norm.num_batches_tracked = momentum, count


def _resnet_block(block, x):
    return x + recomputed(list(block.conv_block), x)


def _stargan_block(block, x):
    return x + recomputed(list(block.main), x)


def _unet_level(level, x):
    # The way down and the way up by themselves: the levels inside do the same, and only one is unfolded at a time.
    y, way = x, []
    for layer in level.model:
        if isinstance(layer, UnetSkipConnectionBlock):
            y, way = layer(recomputed(way, y)), []
        else:
            way.append(layer)
    y = recomputed(way, y)
    return y if level.outermost else torch.cat([x, y], 1)


FORWARDS = {ResnetBlock: _resnet_block, ResidualBlock: _stargan_block, UnetSkipConnectionBlock: _unet_level}
