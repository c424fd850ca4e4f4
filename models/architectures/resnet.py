"""CycleGAN's generator: a 7x7 convolution, two halvings, residual blocks, two doublings (Johnson et al., ECCV 2016).

CUT's generator is the same with antialiased (blurred) halvings and doublings, and also returns features of its layers.
"""

from torch import nn

from models.architectures.adjustable import NarrowConv2d, ReflectionPad2d, recomputed
from models.architectures.layers import (
    Downsample,
    Upsample,
    any_size,
    get_pad_layer,
    layer_indices,
    make_norm,
    needs_bias,
    run_with_features,
)


class ResnetBlock(nn.Module):
    """x + f(x), with f two 3x3 convolutions; no ReLU after the sum. (N, dim, H, W) in and out."""

    recomputes = False  # gradient checkpointing, switched on by models/fit_out.py
    is_repeated = True  # --compile blocks compiles it once for all blocks

    def __init__(self, dim, padding_type, norm_layer, use_dropout, use_bias):
        super().__init__()
        self.conv_block = self.build_conv_block(dim, padding_type, norm_layer, use_dropout, use_bias)

    def build_conv_block(self, dim, padding_type, norm_layer, use_dropout, use_bias):
        """The module f."""
        dropout = [nn.Dropout(0.5)] if use_dropout else []
        return nn.Sequential(
            *_conv3x3(dim, padding_type, norm_layer, use_bias),
            nn.ReLU(True),
            *dropout,
            *_conv3x3(dim, padding_type, norm_layer, use_bias),
        )

    def forward(self, x):
        return x + (recomputed(self.conv_block, x) if self.recomputes else self.conv_block(x))


def _conv3x3(dim, padding_type, norm_layer, use_bias):
    if padding_type == "zero":
        return [nn.Conv2d(dim, dim, 3, padding=1, bias=use_bias), make_norm(norm_layer, dim)]
    return [
        get_pad_layer(padding_type)(1),
        nn.Conv2d(dim, dim, 3, bias=use_bias),
        make_norm(norm_layer, dim),
    ]


def _halve(channels, norm_layer, use_bias, antialias):
    """(C, H, W) -> (2C, H/2, W/2)"""
    stride, blur = (1, [Downsample(2 * channels)]) if antialias else (2, [])
    conv = nn.Conv2d(channels, 2 * channels, 3, stride, padding=1, bias=use_bias)
    return [conv, make_norm(norm_layer, 2 * channels), nn.ReLU(True), *blur]


def _double(channels, norm_layer, use_bias, antialias):
    """(C, H, W) -> (C/2, 2H, 2W)"""
    half = channels // 2
    if antialias:
        resize = [Upsample(channels), nn.Conv2d(channels, half, 3, padding=1, bias=use_bias)]
    else:
        resize = [nn.ConvTranspose2d(channels, half, 3, 2, padding=1, output_padding=1, bias=use_bias)]
    return [*resize, make_norm(norm_layer, half), nn.ReLU(True)]


def encoder_layers(input_nc, ngf, norm_layer, use_dropout, n_blocks, padding_type, antialias):
    """(input_nc, H, W) -> (4 ngf, H/4, W/4)"""
    bias = needs_bias(norm_layer)
    return [
        ReflectionPad2d(3),
        nn.Conv2d(input_nc, ngf, 7, bias=bias),
        make_norm(norm_layer, ngf),
        nn.ReLU(True),  # (ngf, H, W)
        *_halve(ngf, norm_layer, bias, antialias),  # (2 ngf, H/2, W/2)
        *_halve(2 * ngf, norm_layer, bias, antialias),  # (4 ngf, H/4, W/4)
        *block_layers(ngf, norm_layer, use_dropout, n_blocks, padding_type),
    ]


def block_layers(ngf, norm_layer, use_dropout, n_blocks, padding_type):
    bias = needs_bias(norm_layer)
    return [ResnetBlock(4 * ngf, padding_type, norm_layer, use_dropout, bias) for _ in range(n_blocks)]


def decoder_layers(output_nc, ngf, norm_layer, antialias):
    """(4 ngf, H/4, W/4) -> (output_nc, H, W)"""
    bias = needs_bias(norm_layer)
    return [
        *_double(4 * ngf, norm_layer, bias, antialias),  # (2 ngf, H/2, W/2)
        *_double(2 * ngf, norm_layer, bias, antialias),  # (ngf, H, W)
        ReflectionPad2d(3),
        NarrowConv2d(ngf, output_nc, 7),
        nn.Tanh(),
    ]


class ResnetGenerator(nn.Module):
    """(N, input_nc, H, W) -> (N, output_nc, H, W) in [-1, 1]; other sizes are padded to multiples of 4.

    With the defaults, `no_antialias` and `no_antialias_up`, halvings and doublings are CycleGAN's strided convolutions.
    `opt` is not read; callers of the contrastive programs pass it.
    """

    multiple_of = 4
    smallest = 8  # the blocks' maps are a quarter of the image's size, and padded by reflection
    recomputes = False  # gradient checkpointing of the layers before and after the blocks; the blocks have their own

    def __init__(
        self,
        input_nc,
        output_nc,
        ngf=64,
        norm_layer=nn.BatchNorm2d,
        use_dropout=False,
        n_blocks=6,
        padding_type="reflect",
        no_antialias=True,
        no_antialias_up=True,
        opt=None,
    ):
        super().__init__()
        blocks = norm_layer, use_dropout, n_blocks, padding_type
        self.model = nn.Sequential(
            *encoder_layers(input_nc, ngf, *blocks, not no_antialias),  # (4 ngf, H/4, W/4)
            *decoder_layers(output_nc, ngf, norm_layer, not no_antialias_up),  # (output_nc, H, W)
        )

    @any_size
    def forward(self, input, layers=(), encode_only=False):
        """The image; with `layers`, ascending indices into ``self.model``, (image, outputs of those layers).

        `encode_only` stops after the last of them and returns only the features. -1 is the last layer. As released, an
        in-place ReLU after a layer also changes the layer's feature, unless the pass stops at this layer.
        """
        if len(layers) == 0:
            return run_with_features(self.model, input, [], False, True)[0] if self.recomputes else self.model(input)
        image, features = run_with_features(self.model, input, layers, encode_only, self.recomputes)
        return features if encode_only else (image, features)

    def feature_is_overwritten(self, index):
        """Whether an in-place ReLU overwrites the output of the layer `index`, if the pass does not stop there."""
        after = self.model[layer_indices([index], len(self.model))[0] + 1 :]
        next_layer = next((layer for layer in after if not isinstance(layer, nn.Identity)), None)
        return getattr(next_layer, "inplace", False)
