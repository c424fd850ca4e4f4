"""The last convolution of the generators, with gradients on the CPU that take a half to a quarter of PyTorch's time.

PyTorch's kernels process 16 channels at a time, and an image has 3. Here the gradient of the input is an ordinary
convolution from 3 channels to many, and the gradient of the weights is a matrix product.
"""

import torch
import torch.nn.functional as F
from torch import nn


class NarrowConv2d(nn.Conv2d):
    """Conv2d of stride 1 for few output channels: the same keys and values, gradients equal but for rounding."""

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
