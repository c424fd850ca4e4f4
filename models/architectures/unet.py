"""pix2pix's generator: an encoder and a decoder with a skip connection at every scale (Ronneberger et al., 2015)."""

import torch
from torch import nn

from models.architectures.layers import any_size, make_norm, needs_bias, run_with_features


class UnetSkipConnectionBlock(nn.Module):
    """One scale of the U-Net: halve, run the inner block, double, and concatenate the result with the input.

    (N, input_nc, H, W) -> (N, input_nc + outer_nc, H, W); the outermost block has no skip connection and ends in tanh.
    """

    recomputes = False  # gradient checkpointing, switched on by models/fit_out.py

    def __init__(
        self,
        outer_nc,
        inner_nc,
        input_nc=None,
        submodule=None,
        outermost=False,
        innermost=False,
        norm_layer=nn.BatchNorm2d,
        use_dropout=False,
    ):
        super().__init__()
        self.outermost = outermost
        bias = needs_bias(norm_layer)
        arriving = inner_nc if innermost else 2 * inner_nc  # the inner block concatenates its input
        down = nn.Conv2d(outer_nc if input_nc is None else input_nc, inner_nc, 4, 2, 1, bias=bias)
        up = nn.ConvTranspose2d(arriving, outer_nc, 4, 2, 1, bias=bias or outermost)
        # As released, the first LeakyReLU changes the skip connection's values in place. The ReLU that gets them gives
        # the same result: relu(leaky(x)) = relu(x).
        leaky, relu = nn.LeakyReLU(0.2, True), nn.ReLU(True)
        if outermost:
            layers = [down, submodule, relu, up, nn.Tanh()]
        elif innermost:
            layers = [leaky, down, relu, up, make_norm(norm_layer, outer_nc)]
        else:
            norms = [make_norm(norm_layer, channels) for channels in (inner_nc, outer_nc)]
            layers = [leaky, down, norms[0], submodule, relu, up, norms[1]]
            layers += [nn.Dropout(0.5)] if use_dropout else []
        self.model = nn.Sequential(*layers)

    def forward(self, x):
        # With gradient checkpointing, the inner block does the same, so that the backward pass holds the activations of
        # a single block at a time.
        y = run_with_features(self.model, x, [], False, True)[0] if self.recomputes else self.model(x)
        return y if self.outermost else torch.cat([x, y], 1)


class UnetGenerator(nn.Module):
    """(N, input_nc, H, W) -> (N, output_nc, H, W) in [-1, 1]; other sizes are padded to multiples of 2**num_downs.

    Channels from the outermost block to the innermost: ngf, 2 ngf, 4 ngf, 8 ngf, then 8 ngf for all others. Dropout is
    in the blocks from 8 ngf to 8 ngf, without the innermost.
    """

    def __init__(self, input_nc, output_nc, num_downs, ngf=64, norm_layer=nn.BatchNorm2d, use_dropout=False):
        super().__init__()
        if num_downs < 5:
            raise ValueError(f"UnetGenerator with {num_downs} halvings: it needs at least 5")
        self.num_downs = num_downs
        self.multiple_of = self.smallest = 2**num_downs
        wide = 8 * ngf
        block = UnetSkipConnectionBlock(wide, wide, innermost=True, norm_layer=norm_layer)
        for _ in range(num_downs - 5):
            block = UnetSkipConnectionBlock(wide, wide, submodule=block, norm_layer=norm_layer, use_dropout=use_dropout)
        for outer in (4 * ngf, 2 * ngf, ngf):
            block = UnetSkipConnectionBlock(outer, 2 * outer, submodule=block, norm_layer=norm_layer)
        self.model = UnetSkipConnectionBlock(
            output_nc, ngf, input_nc=input_nc, submodule=block, outermost=True, norm_layer=norm_layer
        )

    @any_size
    def forward(self, input):
        return self.model(input)
