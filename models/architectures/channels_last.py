"""--channels_last: networks whose maps lie in memory pixel after pixel, (N, H, W, C), as tensor cores read them.

PyTorch's InstanceNorm2d, and on CUDA its paddings, go back to (N, C, H, W) at every layer. Here they keep the layout:
an instance norm is a batch norm of one image, and padding (H, W, C) is padding a volume that is not deep. Values and
gradients are the same but for rounding; dropout, which draws in the order of the memory, draws other places.
"""

import types

import torch
import torch.nn.functional as F
from torch import nn

LAYOUT = torch.channels_last


def to_channels_last(net):
    """Lay out the weights, and let norms and paddings keep the layout of what comes in. Returns the network.

    Classes and keys stay. Images may come as they are: the first convolution follows its weights. Before the network
    is compiled.
    """
    for module in net.modules():
        for kind, forward in FORWARDS.items():
            if isinstance(module, kind):
                module.forward = types.MethodType(forward, module)
    return net.to(memory_format=LAYOUT)


def _lies_so(x):
    return x.dim() == 4 and x.is_contiguous(memory_format=LAYOUT) and not x.is_contiguous()


def normalise(norm, x):
    """InstanceNorm2d's forward."""
    if not _lies_so(x):
        return type(norm).forward(norm, x)
    if not norm.training and norm.track_running_stats:
        return F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias, False, 0.0, norm.eps)
    images = x.split(1)
    # As PyTorch does it: every image moves statistics of its own, whose mean is kept.
    means, variances = (
        [None if kept is None else kept.detach().clone() for _ in images]
        for kept in (norm.running_mean, norm.running_var)
    )
    settings = norm.weight, norm.bias, True, norm.momentum or 0.0, norm.eps
    made = [F.batch_norm(image, *moved, *settings) for image, *moved in zip(images, means, variances)]
    if norm.running_mean is not None:
        with torch.no_grad():
            norm.running_mean.copy_(torch.stack(means).mean(0))
            norm.running_var.copy_(torch.stack(variances).mean(0))
    return made[0] if len(made) == 1 else torch.cat(made)


def pad(padding, x):
    """Forward of ReflectionPad2d and ReplicationPad2d."""
    if not _lies_so(x):
        return type(padding).forward(padding, x)
    mode = "reflect" if isinstance(padding, nn.ReflectionPad2d) else "replicate"
    volume = x.permute(0, 2, 3, 1)  # (N, H, W, C), without a copy
    return F.pad(volume, (0, 0, *padding.padding), mode=mode).permute(0, 3, 1, 2)


FORWARDS = {nn.InstanceNorm2d: normalise, nn.ReflectionPad2d: pad, nn.ReplicationPad2d: pad}
