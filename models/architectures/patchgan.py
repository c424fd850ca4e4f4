"""PatchGAN discriminators: a map of logits, one logit per overlapping patch (Isola et al., CVPR 2017)."""

from itertools import pairwise

from torch import nn

from models.architectures.layers import Downsample, make_norm, needs_bias


def _conv_norm(before, after, stride, norm_layer, bias):
    conv = nn.Conv2d(before, after, 4, stride, 1, bias=bias)
    return [conv, make_norm(norm_layer, after), nn.LeakyReLU(0.2, True)]


class NLayerDiscriminator(nn.Module):
    """(N, input_nc, H, W) -> (N, 1, h, w) logits; no sigmoid.

    `n_layers` is the number of halvings. With 3, the receptive field of a logit is 70x70 pixels; with blurred halvings
    (`no_antialias=False`) it is 84x84, with the same h, w: 30x30 for an image of 256x256.
    """

    def __init__(self, input_nc, ndf=64, n_layers=3, norm_layer=nn.BatchNorm2d, no_antialias=True):
        super().__init__()
        if n_layers < 1:
            raise ValueError(f"NLayerDiscriminator with {n_layers} halvings: it takes at least 1")
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

    def forward(self, input):
        return self.model(input)


class PixelDiscriminator(nn.Module):
    """(N, input_nc, H, W) -> (N, 1, H, W) logits: each pixel independently, by 1x1 convolutions."""

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

    def forward(self, input):
        return self.net(input)
