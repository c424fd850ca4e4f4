"""Layers of torch.nn that compute the same values in another way; models/fit_out.py sets their attributes.

They are subclasses of torch's layers with the same names, parameters and keys. ``keeps_layout`` is for
--channels_last: maps are stored as (N, H, W, C), the layout for tensor cores, but torch's InstanceNorm2d, and on CUDA
its paddings, return (N, C, H, W). ``deterministic`` is for --deterministic: torch's reflection padding on CUDA sums its
gradients in no fixed order. ``recomputed`` is for --grad_checkpoint.
"""

import contextlib

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

CHANNELS_LAST = torch.channels_last

# Kinds of torch's layers, whose common base classes have private names.
DROPOUT = nn.modules.dropout._DropoutNd
BATCH_NORM = nn.modules.batchnorm._BatchNorm
INSTANCE_NORM = nn.modules.instancenorm._InstanceNorm


def is_channels_last(x):
    """Whether the maps are stored as (N, H, W, C) and not as (N, C, H, W); both hold if C or H*W is 1."""
    return x.dim() == 4 and x.is_contiguous(memory_format=CHANNELS_LAST) and not x.is_contiguous()


class InstanceNorm2d(nn.InstanceNorm2d):
    """nn.InstanceNorm2d with correct gradients on the CPU.

    At batch size 1, the backward pass of torch's layer on the CPU misreads, without an error, a gradient whose memory
    layout differs from that of the output. Gathering patches from a feature map produces such gradients.
    """

    keeps_layout = False

    def forward(self, x):
        y = self._normalise(x)
        # A hook on the tensor, so that an in-place ReLU may follow.
        if y.requires_grad and y.device.type == "cpu" and not torch.compiler.is_compiling():
            y.register_hook(_to_channels_last if is_channels_last(y) else _to_contiguous)
        return y

    def _normalise(self, x):
        is_plain = self.weight is None and self.running_mean is None and x.dim() == 4 and x[0, 0].numel() > 1
        if not (self.keeps_layout and is_channels_last(x)):
            return _normalise_as_torch(x, self.eps) if is_plain else super().forward(x)
        if is_plain and x.is_cuda:  # a group norm with a group per channel keeps the layout, in one pass for all images
            images, channels, height, width = x.shape
            return torch.native_group_norm(x, None, None, images, channels, height * width, channels, self.eps)[0]
        return self._normalise_in_layout(x)

    def _normalise_in_layout(self, x):
        """Batch norm of each image on its own, which is instance norm, because F.batch_norm keeps the layout."""
        if not self.training and self.track_running_stats:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)
        images = x.split(1)
        # As in torch's layer: each image updates a copy of the running statistics, then the copies are averaged.
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


def _normalise_as_torch(x, eps):
    """F.instance_norm(x, eps=eps), whose result is not a view.

    An in-place ReLU on a view makes autograd copy the gradient twice. Autograd does not treat the result of
    _unsafe_view as a view, which is correct as long as nothing else uses the source.
    """
    images, channels, height, width = x.shape
    flat = x.reshape(1, images * channels, height, width)
    return torch.ops.aten._unsafe_view(F.batch_norm(flat, None, None, training=True, eps=eps), x.shape)


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
    """Pad (N, H, W, C) as a volume whose last axis, the channels, is not padded."""
    volume = x.permute(0, 2, 3, 1)  # (N, H, W, C), without a copy
    return F.pad(volume, (0, 0, *padding), mode=mode).permute(0, 3, 1, 2)


def pad_by_slices(x, padding):
    """Reflection padding of (..., H, W) by concatenating mirrored slices, whose gradients have a fixed order."""
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


class NarrowConv2d(nn.Conv2d):
    """Conv2d of stride 1 for few output channels, such as a generator's last layer; equal except for rounding.

    On the CPU its gradients take a half to a quarter of PyTorch's time, because PyTorch's kernels process 16 channels
    at a time and an image has 3. Here the gradient of the input is a convolution from 3 channels to many, and the
    gradient of the weights is a matrix product.
    """

    def _conv_forward(self, input, weight, bias):
        use_torch = input.device.type != "cpu" or torch.is_autocast_enabled("cpu") or torch.compiler.is_compiling()
        if use_torch or input.dim() != 4 or not torch.is_grad_enabled():
            return super()._conv_forward(input, weight, bias)
        height, width = self.padding
        return _Narrow.apply(F.pad(input, (width, width, height, height)), weight, bias)


class _Narrow(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias):
        ctx.save_for_backward(x, weight)
        return F.conv2d(x, weight, bias)

    @staticmethod
    def backward(ctx, gradient):
        x, weight = ctx.saved_tensors  # (N, C, H, W), (c, C, k, l)
        size = weight.shape[2:]
        wide = F.pad(gradient, (size[1] - 1, size[1] - 1, size[0] - 1, size[0] - 1))
        grad_x = grad_weight = grad_bias = None
        if ctx.needs_input_grad[0]:
            grad_x = F.conv2d(wide, weight.flip(2, 3).transpose(0, 1))
        if ctx.needs_input_grad[1]:
            # Column (h, w) holds the gradients of the k l outputs that x[h, w] contributed to, in reverse order.
            columns = F.unfold(wide, size)  # (N, c k l, H W)
            product = (x.flatten(2) @ columns.mT).sum(0)  # (C, c k l)
            grad_weight = product.unflatten(1, (-1, *size)).flip(2, 3).transpose(0, 1)
        if ctx.needs_input_grad[2]:
            grad_bias = gradient.sum((0, 2, 3))
        return grad_x, grad_weight, grad_bias


def recomputed(layers, x):
    """The output of the layers for x with gradient checkpointing: the backward pass runs the layers again.

    Chen, Xu, Zhang, Guestrin, "Training Deep Nets with Sublinear Memory Cost", 2016. Autograd keeps x instead of the
    activations. Gradients are the same: dropout draws the same numbers in both passes, and only the first pass updates
    running statistics.
    """
    layers = list(layers)
    # A first layer that works in place overwrites x, the kept tensor, so it must not run again.
    while layers and getattr(layers[0], "inplace", False):
        x, layers = layers[0](x), layers[1:]
    modules = [module for layer in layers for module in layer.modules()]
    counting = [module for module in modules if getattr(module, "track_running_stats", False)]
    # torch.compile can't trace the context manager below; it has its own choice of activations to keep.
    if not layers or not torch.is_grad_enabled() or (counting and torch.compiler.is_compiling()):
        return _run(layers, x)
    count_once = {"context_fn": lambda: (contextlib.nullcontext(), _uncounted(counting))} if counting else {}
    draws = any(isinstance(module, DROPOUT) for module in modules)
    return checkpoint(_run, layers, x, use_reentrant=False, preserve_rng_state=draws, **count_once)


def _run(layers, x):
    for layer in layers:
        x = layer(x)
    return x


@contextlib.contextmanager
def _uncounted(norms):
    """The norms do not update their running statistics inside this context."""
    before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    try:
        for norm in norms:
            norm.momentum, norm.num_batches_tracked = 0.0, None
        yield
    finally:
        for norm, (momentum, count) in zip(norms, before):
            norm.momentum, norm.num_batches_tracked = momentum, count
