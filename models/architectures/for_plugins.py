"""Layers and networks of CUT that no model here builds; files written for that program may import them."""

import torch
from torch import nn

from models.architectures.patchgan import NLayerDiscriminator
from models.architectures.resnet import block_layers, decoder_layers, encoder_layers


class Upsample2(nn.Upsample):
    """Enlarge by interpolation."""

    def __init__(self, scale_factor, mode="nearest"):
        super().__init__(scale_factor=scale_factor, mode=mode)


class GroupedChannelNorm(nn.Module):
    """Normalise each pixel over groups of channels."""

    def __init__(self, num_groups):
        super().__init__()
        self.num_groups = num_groups

    def forward(self, x):
        groups = x.unflatten(1, (self.num_groups, -1))  # (N, groups, C / groups, H, W)
        std, mean = torch.std_mean(groups, dim=2, keepdim=True)
        return ((groups - mean) / (std + 1e-7)).flatten(1, 2)


class ResnetEncoder(nn.Module):
    """The layers of ResnetGenerator up to the last block; `output_nc` is not read."""

    def __init__(
        self,
        input_nc,
        output_nc,
        ngf=64,
        norm_layer=nn.BatchNorm2d,
        use_dropout=False,
        n_blocks=6,
        padding_type="reflect",
        no_antialias=False,
    ):
        super().__init__()
        blocks = norm_layer, use_dropout, n_blocks, padding_type
        self.model = nn.Sequential(*encoder_layers(input_nc, ngf, *blocks, not no_antialias))

    def forward(self, input):
        return self.model(input)


class ResnetDecoder(nn.Module):
    """The blocks and the doublings of ResnetGenerator; `input_nc` is not read."""

    def __init__(
        self,
        input_nc,
        output_nc,
        ngf=64,
        norm_layer=nn.BatchNorm2d,
        use_dropout=False,
        n_blocks=6,
        padding_type="reflect",
        no_antialias=False,
    ):
        super().__init__()
        blocks = block_layers(ngf, norm_layer, use_dropout, n_blocks, padding_type)
        self.model = nn.Sequential(*blocks, *decoder_layers(output_nc, ngf, norm_layer, not no_antialias))

    def forward(self, input):
        return self.model(input)


class PatchDiscriminator(NLayerDiscriminator):
    """Judges tiles of 16x16 pixels, each on its own: (N, C, Y 16, X 16) -> (N Y X, 1, 2, 2).

    As released, `n_layers` is not read: there are 2 halvings.
    """

    def __init__(self, input_nc, ndf=64, n_layers=3, norm_layer=nn.BatchNorm2d, no_antialias=False):
        super().__init__(input_nc, ndf, 2, norm_layer, no_antialias)

    def forward(self, input, features=False):
        tiles = input.unflatten(3, (-1, 16)).unflatten(2, (-1, 16))  # (N, C, Y, 16, X, 16)
        return super().forward(tiles.permute(0, 2, 4, 1, 3, 5).flatten(0, 2), features)
