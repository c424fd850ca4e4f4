"""Layers of PyTorch that can compute the same values in another way, which models/fit_out.py switches on.

They are subclasses of the layers of torch.nn with the same names, parameters and keys. ``keeps_layout`` is for
--channels_last: maps lie in memory as (N, H, W, C), as tensor cores read them, but torch's InstanceNorm2d, and on CUDA
its paddings, return (N, C, H, W). ``deterministic`` is for --deterministic: torch's reflection padding on CUDA adds up
its gradients in no fixed order.
"""

import torch
import torch.nn.functional as F
from torch import nn

CHANNELS_LAST = torch.channels_last


def is_channels_last(x):
    """Whether the maps lie in memory as (N, H, W, C), and not also as (N, C, H, W)."""
    return x.dim() == 4 and x.is_contiguous(memory_format=CHANNELS_LAST) and not x.is_contiguous()


class InstanceNorm2d(nn.InstanceNorm2d):
    """nn.InstanceNorm2d with right gradients on the CPU.

    The backward pass of torch's layer on the CPU misreads a gradient whose memory layout differs from that of the
    output when the batch size is 1, without an error. Taking patches out of a feature map makes such gradients.
    """

    keeps_layout = False

    def forward(self, x):
        y = self._normalise_in_layout(x) if self.keeps_layout and is_channels_last(x) else super().forward(x)
        # A hook on the tensor, so that an in-place ReLU may follow.
        if y.requires_grad and y.device.type == "cpu" and not torch.compiler.is_compiling():
            y.register_hook(_to_channels_last if is_channels_last(y) else _to_contiguous)
        return y

    def _normalise_in_layout(self, x):
        """An instance norm is a batch norm of one image, which keeps the layout."""
        if not self.training and self.track_running_stats:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)
        images = x.split(1)
        # As in torch's layer: every image updates a copy of the statistics, and the mean of the copies is kept.
        means, variances = (
            [None if kept is None else kept.detach().clone() for _ in images]
            for kept in (self.running_mean, self.running_var)
        )
        settings = self.weight, self.bias, True, self.momentum or 0.0, self.eps
        outputs = [F.batch_norm(image, *moved, *settings) for image, *moved in zip(images, means, variances)]
        if self.running_mean is not None:
            with torch.no_grad():
                self.running_mean.copy_(torch.stack(means).mean(0))
                self.running_var.copy_(torch.stack(variances).mean(0))
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs)


def _to_contiguous(gradient):
    return gradient if gradient is None else gradient.contiguous()


def _to_channels_last(gradient):
    return gradient if gradient is None else gradient.contiguous(memory_format=CHANNELS_LAST)


class ReflectionPad2d(nn.ReflectionPad2d):
    keeps_layout = False
    deterministic = False

    def forward(self, x):
        if self.deterministic:
            return pad_by_slices(x, self.padding)
        if self.keeps_layout and is_channels_last(x):
            return _pad_in_layout(x, self.padding, "reflect")
        return super().forward(x)


class ReplicationPad2d(nn.ReplicationPad2d):
    keeps_layout = False

    def forward(self, x):
        if self.keeps_layout and is_channels_last(x):
            return _pad_in_layout(x, self.padding, "replicate")
        return super().forward(x)


def _pad_in_layout(x, padding, mode):
    """Padding (H, W, C) is padding a volume whose depth, here the channels, gets nothing."""
    volume = x.permute(0, 2, 3, 1)  # (N, H, W, C), without a copy
    return F.pad(volume, (0, 0, *padding), mode=mode).permute(0, 3, 1, 2)


def pad_by_slices(x, padding):
    """Reflection padding of (..., H, W) made of mirrored slices, whose gradients are plain additions."""
    left, right, top, bottom = padding
    return _mirror(_mirror(x, -1, left, right), -2, top, bottom)


def _mirror(x, dim, before, after):
    size = x.shape[dim]
    parts = [x.narrow(dim, 1, before).flip(dim), x, x.narrow(dim, size - 1 - after, after).flip(dim)]
    return torch.cat(parts, dim)


ADJUSTABLE = {
    nn.InstanceNorm2d: InstanceNorm2d,
    nn.ReflectionPad2d: ReflectionPad2d,
    nn.ReplicationPad2d: ReplicationPad2d,
}


def make_adjustable(module):
    """Turn a plain torch layer into its subclass above, in place, with its weights, hooks and keys; returns it.

    Other modules, among them subclasses with a forward of their own, stay as they are.
    """
    module.__class__ = ADJUSTABLE.get(type(module), type(module))
    return module
