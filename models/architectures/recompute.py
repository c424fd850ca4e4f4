"""Gradient checkpointing (--grad_checkpoint): layers whose activations are computed again in the backward pass.

Chen, Xu, Zhang, Guestrin, "Training Deep Nets with Sublinear Memory Cost", 2016. Gradients are the same. Dropout draws
the same numbers in both passes, and running statistics count only the first.
"""

import contextlib

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint


def recomputed(layers, x):
    """The output of the layers for x. Autograd keeps x alone, and the backward pass runs the layers once more."""
    layers = list(layers)
    # A first layer that works in place overwrites x, the kept tensor, so it must not run a second time.
    while layers and getattr(layers[0], "inplace", False):
        x, layers = layers[0](x), layers[1:]
    modules = [module for layer in layers for module in layer.modules()]
    counting = [module for module in modules if getattr(module, "track_running_stats", False)]
    # torch.compile can't trace the context that stops the counting. It decides by itself which activations to keep.
    if not layers or not torch.is_grad_enabled() or (counting and torch.compiler.is_compiling()):
        return _run(layers, x)
    count_once = {"context_fn": lambda: (contextlib.nullcontext(), _uncounted(counting))} if counting else {}
    draws = any(isinstance(module, nn.modules.dropout._DropoutNd) for module in modules)
    return checkpoint(_run, layers, x, use_reentrant=False, preserve_rng_state=draws, **count_once)


def _run(layers, x):
    for layer in layers:
        x = layer(x)
    return x


@contextlib.contextmanager
def _uncounted(norms):
    """While the block runs, the norms don't change their running statistics."""
    before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    try:
        for norm in norms:
            norm.momentum, norm.num_batches_tracked = 0.0, None
        yield
    finally:
        for norm, (momentum, count) in zip(norms, before):
            norm.momentum, norm.num_batches_tracked = momentum, count
