"""StyleGAN2's networks in CUT's form: --netG stylegan2 and smallstylegan2, --netD stylegan2, tilestylegan2 etc.

Karras et al., CVPR 2020, arXiv 1912.04958: residual networks (section 4.1) with modulated convolutions (section 2.2).
The generator has an encoder instead of StyleGAN2's learned constant, and no mapping network. As released, it has no
tanh, and the discriminator has no minibatch standard deviation, so a logit depends on its own sample only.
"""

import math
from itertools import pairwise

import torch
from torch import nn

from models.architectures.layers import UnfitSize, any_size, run_with_features
from models.architectures.stylegan2_layers import EqualConv2d, EqualLinear, ResBlock, StyledConv, conv_layer

SMALL_SIDE = 32  # the number of channels is limited for maps up to this side


def channels_of_generator(side, ngf):
    """Channels of a map with this side, a power of two."""
    channels = max(1, round(16384 * ngf / 32 / side))
    return min(512, channels) if side <= SMALL_SIDE else channels


def channels_of_discriminator(side, ndf):
    channels = max(1, int(16384 * ndf / 64 / side))
    return min(384, channels) if side <= SMALL_SIDE else channels


class Encoder(nn.Module):
    """Image -> map of 1 / 2^n_downs of its side; --nce_layers are indices into ``convs``."""

    def __init__(self, input_nc, ngf, size, n_downs, n_blocks):
        super().__init__()
        channels = [channels_of_generator(max(1, size // 2**i), ngf) for i in range(n_downs + 1)]
        self.convs = nn.Sequential(
            nn.Identity(),
            conv_layer(input_nc, channels[0], 1),
            *(ResBlock(before, after, halve=True) for before, after in pairwise(channels)),
            *(ResBlock(channels[-1], channels[-1], halve=False) for _ in range(n_blocks)),
        )


class Decoder(nn.Module):
    """Map of the encoder -> image."""

    def __init__(self, output_nc, ngf, size, n_downs, n_blocks, injects_noise):
        super().__init__()
        channels = [channels_of_generator(max(1, size // 2**i), ngf) for i in range(n_downs, -1, -1)]
        self.convs = nn.Sequential(
            *(ResBlock(channels[0], channels[0], halve=False) for _ in range(n_blocks)),
            *(StyledConv(before, after, injects_noise) for before, after in pairwise(channels)),
            conv_layer(channels[-1], output_nc, 1),
        )

    def forward(self, x):
        return self.convs(x)


class StyleGAN2Generator(nn.Module):
    """(N, input_nc, H, W) -> (N, output_nc, H, W), about [-1, 1]; other sizes are padded to 2^num_downsampling.

    `size`, a power of two, is the image side that sets the channel counts; images of other sides can be translated,
    too. `n_blocks` is the number of residual blocks that keep the size, half of them in the encoder. With
    `injects_noise` False there is no noise (smallstylegan2). norm_layer and use_dropout are not read; define_G() passes
    them to every generator.
    """

    def __init__(
        self,
        input_nc,
        output_nc,
        ngf=64,
        norm_layer=None,
        use_dropout=False,
        n_blocks=6,
        size=256,
        num_downsampling=1,
        injects_noise=True,
    ):
        super().__init__()
        self.multiple_of = self.smallest = 2**num_downsampling
        self.encoder = Encoder(input_nc, ngf, size, num_downsampling, n_blocks // 2)
        self.decoder = Decoder(output_nc, ngf, size, num_downsampling, n_blocks // 2, injects_noise)

    @any_size
    def forward(self, input, layers=(), encode_only=False):
        """The image; with `layers`, ascending indices into ``encoder.convs``, (image, outputs of those layers).

        `encode_only` stops after the last of them and returns only the features. -1 is the encoder's last layer.
        """
        if len(layers) == 0:
            return self.decoder(self.encoder.convs(input))
        result, features = run_with_features(self.encoder.convs, input, layers, encode_only)
        return features if encode_only else (self.decoder(result), features)

    def feature_is_overwritten(self, index):
        """False: no layer works in place."""
        return False


class StyleGAN2Discriminator(nn.Module):
    """(N, input_nc, size, size) -> (N, 1) logits, one for each image; no sigmoid.

    `size` is a power of two, at least 4. H and W may be larger, but less than 5/4 of it, so that the halvings end at
    4x4. With `tile`, a power of two, the image is cut into tiles of this side, each of which gets its own logit:
    (N, input_nc, Y tile, X tile) -> (N Y X, 1). norm_layer is not read.
    """

    last_side = 4

    def __init__(self, input_nc, ndf=64, norm_layer=None, size=256, tile=None):
        super().__init__()
        self.tile = tile
        self.size = size if tile is None else tile
        self.convs, channels = self._halvings(input_nc, ndf)
        last = channels_of_discriminator(4, ndf)
        self.final_conv = conv_layer(channels, last, 3)
        self.final_linear = nn.Sequential(EqualLinear(16 * last, last, activate=True), EqualLinear(last, 1))

    def _halvings(self, input_nc, ndf):
        """(layers that halve a map from `size` to `last_side`, number of channels after them)."""
        halvings = round(math.log2(self.size / self.last_side))
        if halvings < 0 or self.last_side * 2**halvings != self.size:
            raise ValueError(
                f"{type(self).__name__} of size {self.size}: the size must be a power of two, at least {self.last_side}"
            )
        sides = [self.size // 2**i for i in range(halvings + 1)]
        channels = [channels_of_discriminator(side, ndf) for side in sides]
        blocks = [ResBlock(before, after, halve=True) for before, after in pairwise(channels)]
        return nn.Sequential(conv_layer(input_nc, channels[0], 1), *blocks), channels[-1]

    def forward(self, input):
        if self.tile is not None:
            input = cut_into_tiles(input, self.tile)
        x = self.convs(input)  # (N, C, 4, 4)
        if x.shape[2:] != (4, 4):
            height, width = input.shape[2:]
            raise UnfitSize(
                f"images of {width}x{height} pixels: this discriminator takes images of {self.size}x{self.size}; "
                "--netD patchstylegan2 and basic take any size"
            )
        return self.final_linear(self.final_conv(x).flatten(1))  # (N, 1)


class PatchStyleGAN2Discriminator(StyleGAN2Discriminator):
    """(N, input_nc, H, W) -> (N, 1, h, w) logits of patches, for any H and W; h is about H last_side / size.

    `last_side`, the side of the map of logits for an image of `size`, is 8 for patchstylegan2 and 16 for
    smallpatchstylegan2.
    """

    def __init__(self, input_nc, ndf=64, norm_layer=None, size=256, last_side=8):
        nn.Module.__init__(self)
        self.size, self.last_side = size, last_side
        self.convs, channels = self._halvings(input_nc, ndf)
        last = channels_of_discriminator(4, ndf)
        self.final_conv = conv_layer(channels, last, 3)
        self.final_linear = nn.Sequential(EqualConv2d(last, 1, 3))

    def forward(self, input):
        return self.final_linear(self.final_conv(self.convs(input)))


def cut_into_tiles(images, side):
    """(N, C, Y side, X side) -> (N Y X, C, side, side), image after image."""
    if images.shape[2] % side or images.shape[3] % side:
        height, width = images.shape[2:]
        raise UnfitSize(f"images of {width}x{height} pixels: they can't be cut into tiles of --D_patch_size {side}")
    rows = torch.stack(images.split(side, 2), 1)  # (N, Y, C, side, W)
    return torch.stack(rows.split(side, 4), 2).flatten(0, 2)
