"""StarGAN's networks (Choi et al., CVPR 2018, tables 4 and 5): one generator for all domains, and its
discriminator."""

import contextlib
import functools

import torch
from torch import nn

from models.architectures.adjustable import NarrowConv2d, recomputed
from models.architectures.layers import any_size, make_norm

instance_norm = functools.partial(nn.InstanceNorm2d, affine=True, track_running_stats=True)


class ResidualBlock(nn.Module):
    recomputes = False  # gradient checkpointing, switched on by models/fit_out.py
    is_repeated = True  # --compile blocks compiles it once for all blocks

    def __init__(self, channels):
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            make_norm(instance_norm, channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            make_norm(instance_norm, channels),
        )

    def forward(self, x):
        return x + (recomputed(self.main, x) if self.recomputes else self.main(x))


class StarGANGenerator(nn.Module):
    """(images (N, input_nc, H, W), conditions (N, c_dim)) -> images in [-1, 1]; H and W are padded to multiples of 4.

    The norms have running statistics, as in all released checkpoints, but neither training nor test uses them: StarGAN
    is always in training mode.
    """

    multiple_of = 4
    smallest = 8  # the smallest maps have a quarter of the size, and a norm needs more than one pixel

    def __init__(self, conv_dim=64, c_dim=5, repeat_num=6, input_nc=3):
        super().__init__()
        # Zero padding: with reflection the condition, constant over the map, would be removed by the instance norm.
        layers = [nn.Conv2d(input_nc + c_dim, conv_dim, 7, padding=3, bias=False), *_norm_relu(conv_dim)]
        width = conv_dim
        for _ in range(2):
            layers += [nn.Conv2d(width, 2 * width, 4, stride=2, padding=1, bias=False), *_norm_relu(2 * width)]
            width *= 2
        layers += [ResidualBlock(width) for _ in range(repeat_num)]
        for _ in range(2):
            layers += [nn.ConvTranspose2d(width, width // 2, 4, stride=2, padding=1, bias=False)]
            layers += _norm_relu(width // 2)
            width //= 2
        layers += [NarrowConv2d(width, input_nc, 7, padding=3, bias=False), nn.Tanh()]
        self.main = nn.Sequential(*layers)

    @any_size
    def forward(self, x, c):
        planes = c[:, :, None, None].expand(-1, -1, *x.shape[2:])  # (N, c_dim, H, W)
        return self.main(torch.cat((x, planes), dim=1))


def _norm_relu(channels):
    return [make_norm(instance_norm, channels), nn.ReLU(inplace=True)]


class Kink(nn.LeakyReLU):
    """LeakyReLU computed as x times 1 or the slope: the same values, and the same gradients of any order.

    PyTorch's LeakyReLU has a second derivative of zeros, which the gradient penalty propagates through the whole
    network. Without it the discriminator's step takes a sixth less time.
    """

    def forward(self, x):
        return x * torch.where(x.detach() > 0, x.new_ones(()), x.new_full((), self.negative_slope))


class StarGANDiscriminator(nn.Module):
    """images (N, input_nc, image_size, image_size) -> (logits of patches (N, 1, h, w), logits of domains (N, c_dim)).

    Each of the repeat_num layers halves the map, so h = w = image_size // 2**repeat_num.
    """

    def __init__(self, image_size=128, conv_dim=64, c_dim=5, repeat_num=6, input_nc=3):
        super().__init__()
        if image_size < 2**repeat_num:
            raise ValueError(f"images of {image_size}x{image_size}: the discriminator halves them {repeat_num} times")
        layers, channels, width = [], input_nc, conv_dim
        for _ in range(repeat_num):
            layers += [nn.Conv2d(channels, width, 4, stride=2, padding=1), Kink(0.01)]
            channels, width = width, 2 * width
        self.main = nn.Sequential(*layers)
        self.conv1 = nn.Conv2d(channels, 1, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(channels, c_dim, image_size // 2**repeat_num, bias=False)

    def forward(self, x):
        features = self.main(x)
        return self.conv1(features), self.conv2(features).flatten(1)  # (N, 1, h, w), (N, c_dim)


@contextlib.contextmanager
def counted(net, times):
    """In this context a forward pass updates the running statistics of the network's norms as `times` passes would."""
    norms = [module for module in net.modules() if isinstance(module, nn.InstanceNorm2d)]
    usual = [norm.momentum for norm in norms]
    try:
        for norm, momentum in zip(norms, usual):
            norm.momentum = 1 - (1 - momentum) ** times
        yield
    finally:
        for norm, momentum in zip(norms, usual):
            norm.momentum = momentum
