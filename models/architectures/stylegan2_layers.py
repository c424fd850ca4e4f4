"""Layers of StyleGAN2 in CUT's form: without a mapping network, so each style is a vector of ones.

Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", CVPR 2020, arXiv 1912.04958; sections and
equations below are this paper's. Only PyTorch's own operations are used. Blurs are depthwise convolutions: on one CPU
core a 4x4 blur of 16x80x64x64 takes 60 ms forward and backward; two one-dimensional passes take 95 ms, sums of slices
190 ms, three mean poolings 760 ms.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

from models.architectures.adjustable import recomputed

GAIN = math.sqrt(2)  # factor after a leaky ReLU, which keeps the variance of the activations
EPSILON = 1e-8  # of the demodulation (equation 3)


def leaky(x):
    return F.leaky_relu(x, 0.2) * GAIN


class Equalised(nn.Module):
    """A layer with an equalised learning rate (Karras et al., ICLR 2018, section 4.1).

    The weight is drawn from N(0, 1), and every forward pass divides it by the root of the fan-in, so that Adam's steps
    have the same relative size in all layers.
    """

    keeps_initial_weights = True  # init_weights() does not change the layer

    def __init__(self, *shape):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(shape))
        self.scale = 1 / math.sqrt(math.prod(shape[1:]))


class EqualConv2d(Equalised):
    """A convolution without a bias; `stride` 1 keeps the size, 2 has no padding, because the blur before it pads."""

    def __init__(self, before, after, size, stride=1):
        super().__init__(after, before, size, size)
        self.stride = stride
        self.padding = size // 2 if stride == 1 else 0

    def forward(self, x):
        return F.conv2d(x, self.weight * self.scale, stride=self.stride, padding=self.padding)


class EqualLinear(Equalised):
    def __init__(self, before, after, activate=False):
        super().__init__(after, before)
        self.bias = nn.Parameter(torch.zeros(after))
        self.activate = activate

    def forward(self, x):
        x = F.linear(x, self.weight * self.scale, self.bias)
        return leaky(x) if self.activate else x


class FusedLeakyReLU(nn.Module):
    """sqrt(2) LeakyReLU(x + bias), with a bias per channel; named like the released code's layer."""

    def __init__(self, channels):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, x):
        return leaky(x + self.bias.to(x.dtype))


class Blur(nn.Module):
    """Blur by the outer product of [1, 3, 3, 1] with itself, after zero padding: H -> H + 2 padding - 3.

    `stride` keeps every stride-th pixel; `gain` multiplies the result.
    """

    def __init__(self, padding, stride=1, gain=1):
        super().__init__()
        self.padding, self.stride = padding, stride
        row = torch.tensor([1.0, 3.0, 3.0, 1.0])
        self.register_buffer("kernel", torch.outer(row, row) / 64 * gain)  # in checkpoints

    def forward(self, x):
        channels = x.shape[1]
        kernel = self.kernel.to(x.dtype).expand(channels, 1, 4, 4)
        return F.conv2d(x, kernel, stride=self.stride, padding=self.padding, groups=channels)


def conv_layer(before, after, size):
    """A convolution and its activation: (before, H, W) -> (after, H, W)."""
    return nn.Sequential(EqualConv2d(before, after, size), FusedLeakyReLU(after))


class ResBlock(nn.Module):
    """(f(x) + skip(x)) / sqrt(2) with f two 3x3 convolutions (section 4.1, figure 7c).

    (before, H, W) -> (after, H // 2, W // 2) with `halve`; otherwise the size is kept, and after = before.
    """

    recomputes = False  # gradient checkpointing, switched on by models/fit_out.py

    def __init__(self, before, after, halve):
        super().__init__()
        self.conv1 = conv_layer(before, before, 3)
        if halve:
            # The released 1x1 convolution has stride 2; here the blur before it skips the pixels that it does not read.
            self.conv2 = nn.Sequential(Blur(2), EqualConv2d(before, after, 3, stride=2), FusedLeakyReLU(after))
            self.skip = nn.Sequential(Blur(1, stride=2), EqualConv2d(before, after, 1))
        else:
            self.conv2 = conv_layer(before, after, 3)
            self.skip = nn.Identity()

    def forward(self, x):
        layers = [*self.conv1, *self.conv2]
        changed = recomputed(layers, x) if self.recomputes else nn.Sequential(*layers)(x)
        return (changed + self.skip(x)) / math.sqrt(2)


class ModulatedConv2d(nn.Module):
    """A transposed convolution with modulated weights (section 2.2), then a blur: (H, W) -> (2H, 2W).

        w'_ijk  = s_i w_ijk                                      (equation 1), i: input channel, j: output channel
        w''_ijk = w'_ijk / sqrt(sum_ik w'_ijk^2 + epsilon)       (equation 3)

    The style s is a vector of ones, so all samples share the weights w''. They are computed in float32, even under
    mixed precision.
    """

    keeps_initial_weights = True

    def __init__(self, before, after, size):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(1, after, before, size, size))
        self.scale = 1 / math.sqrt(before * size**2)
        self.blur = Blur(1, gain=4)  # the gain compensates for the zeros that a transposed convolution inserts

    def demodulated(self):
        """The weights w'' (after, before, size, size)."""
        with torch.autocast(self.weight.device.type, enabled=False):
            weight = self.weight[0] * self.scale
            return weight * torch.rsqrt(weight.square().sum((1, 2, 3), keepdim=True) + EPSILON)

    def forward(self, x):
        return self.blur(F.conv_transpose2d(x, self.demodulated().transpose(0, 1), stride=2))


def draw_noise(x):
    """Noise (N, 1, H, W) from N(0, 1) for a map (N, C, H, W)."""
    return torch.randn_like(x[:, :1])


class NoiseInjection(nn.Module):
    """Adds the same noise to all channels, times a learned weight that starts at 0 (section 2.1).

    With `injects` False there is no noise; the unused weight is kept because released checkpoints contain it.
    """

    def __init__(self, injects):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.draws_per_sample = injects  # see is_per_sample() in models/batches.py

    def forward(self, x):
        return x + self.weight.to(x.dtype) * draw_noise(x) if self.draws_per_sample else x


class StyledConv(nn.Module):
    """(before, H, W) -> (after, 2H, 2W): modulated convolution, noise, bias and activation (figure 2d)."""

    def __init__(self, before, after, injects_noise):
        super().__init__()
        self.conv = ModulatedConv2d(before, after, 3)
        self.noise = NoiseInjection(injects_noise)
        self.activate = FusedLeakyReLU(after)

    def forward(self, x):
        return self.activate(self.noise(self.conv(x)))
