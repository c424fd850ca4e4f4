"""PatchGAN discriminators (Isola et al., CVPR 2017): the output is a map of logits, one for each overlapping patch.

``net(images, features=True)`` returns (logits, feature maps): the outputs of the activations, in their order.
"""

from itertools import pairwise

import torch.nn.functional as F
from torch import nn

from models.architectures.layers import Downsample, UnfitSize, make_norm, needs_bias


def _conv_norm(before, after, stride, norm_layer, bias):
    conv = nn.Conv2d(before, after, 4, stride, 1, bias=bias)
    return [conv, make_norm(norm_layer, after), nn.LeakyReLU(0.2, True)]


def _run(layers, x, features):
    """The output of the layers; with `features` (output, [output of each activation])."""
    if not features:
        return layers(x)
    maps = []
    for layer in layers:
        x = layer(x)
        if isinstance(layer, nn.LeakyReLU):
            maps.append(x)
    return x, maps


class NLayerDiscriminator(nn.Module):
    """(N, input_nc, H, W) -> (N, 1, h, w) logits; no sigmoid.

    `n_layers` is the number of halvings. With 3, the receptive field of a logit is 70x70 pixels, or 84x84 with blurred
    halvings (`no_antialias=False`); in both cases (h, w) is (30, 30) for an image of 256x256.
    """

    def __init__(self, input_nc, ndf=64, n_layers=3, norm_layer=nn.BatchNorm2d, no_antialias=True):
        super().__init__()
        if n_layers < 1:
            raise ValueError(f"NLayerDiscriminator with {n_layers} halvings: it needs at least 1")
        bias = needs_bias(norm_layer)
        stride = 2 if no_antialias else 1
        layers = [nn.Conv2d(input_nc, ndf, 4, stride, 1), nn.LeakyReLU(0.2, True)]
        layers += [] if no_antialias else [Downsample(ndf)]
        widths = [ndf * min(2**i, 8) for i in range(n_layers + 1)]  # ndf, 2 ndf, 4 ndf, 8 ndf, 8 ndf, ...
        for before, after in pairwise(widths[:-1]):
            layers += _conv_norm(before, after, stride, norm_layer, bias)
            layers += [] if no_antialias else [Downsample(after)]
        layers += _conv_norm(widths[-2], widths[-1], 1, norm_layer, bias)
        self.model = nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 4, 1, 1))
        self.smallest = 3 * 2**n_layers  # side of the smallest image that leaves a logit

    def forward(self, input, features=False):
        return _run(self.model, input, features)


class PixelDiscriminator(nn.Module):
    """(N, input_nc, H, W) -> (N, 1, H, W): a logit for each pixel on its own, by 1x1 convolutions."""

    smallest = 1

    def __init__(self, input_nc, ndf=64, norm_layer=nn.BatchNorm2d):
        super().__init__()
        bias = needs_bias(norm_layer)
        self.net = nn.Sequential(
            nn.Conv2d(input_nc, ndf, 1),
            nn.LeakyReLU(0.2, True),
            nn.Conv2d(ndf, 2 * ndf, 1, bias=bias),
            make_norm(norm_layer, 2 * ndf),
            nn.LeakyReLU(0.2, True),
            nn.Conv2d(2 * ndf, 1, 1, bias=bias),
        )

    def forward(self, input, features=False):
        return _run(self.net, input, features)


class MultiScaleDiscriminator(nn.Module):
    """Discriminators D_1, ..., D_n for an image at n scales (Wang et al., CVPR 2018, section 3.2): (N, C, H, W) -> a
    list of maps of logits, the largest first.

    `nets` have the same layers and weights of their own; D_k judges the image after k - 1 halvings. Each halving
    averages 3x3 pixels with stride 2, as released. With ``features=True`` the maps of all D_k come in one list. Keys
    of the state dict: ``scales.<k - 1>.<key of one discriminator>``.
    """

    def __init__(self, nets):
        super().__init__()
        self.scales = nn.ModuleList(nets)

    def forward(self, input, features=False):
        needed = self.scales[0].smallest * 2 ** (len(self.scales) - 1)
        if min(input.shape[-2:]) < needed:
            size = "x".join(map(str, input.shape[-2:]))
            raise UnfitSize(f"--num_D {len(self.scales)}: an image of {size} pixels has a side under {needed}")
        logits, maps = [], []
        for number, net in enumerate(self.scales):
            if number:
                input = F.avg_pool2d(input, 3, stride=2, padding=1, count_include_pad=False)
            result = net(input, features)
            logits.append(result[0] if features else result)
            maps += result[1] if features else []
        return (logits, maps) if features else logits
