"""DiffAugment: differentiable augmentation of all images that a discriminator gets.

Zhao, Liu, Lin, Zhu, Han, NeurIPS 2020, section 3. Real and generated images are augmented, in the discriminator's
update and in the generator's, where the gradient goes through the augmentation T:

    L_D = f_D(-D(T(x))) + f_D(D(T(G(z))))          L_G = f_G(-D(T(G(z))))          (equations 4 and 5)

A gradient penalty takes the gradient of D(T(x)) with respect to x, as in the released code for StyleGAN2.

Random numbers are drawn for each sample, from PyTorch's default generator of the CPU (see util/numerics/seeding.py):
they are equal on every device, and do not depend on whether two batches share a pass.
"""

from collections.abc import Sequence
from functools import partial

import torch
from torch import nn

from util.errors import InputError
from util.numerics.capturing import drawn

SHIFT = 1 / 8  # translation: the largest shift in each direction, as a share of the image's side
HOLE = 1 / 2  # cutout: the side of the rectangle, as a share of the image's side
DRAWS = 7  # random numbers per sample: brightness, saturation, contrast, two for the shift, two for the cutout


class DiffAugment:
    """A forward pre-hook of a discriminator, which augments its first argument, (N, C, H, W).

    `kinds`: some of color, translation, cutout; they apply in this order. `channels`: the channels of the images that
    are concatenated in C, for example (3, 3) for a pair; the images of a pair get the same augmentation. None: C
    consists of images of three channels. Color changes images of three channels only, since another brightness would
    change the labels of a label map with one channel.
    """

    def __init__(self, kinds: Sequence[str], channels: Sequence[int] | None = None):
        if channels is not None and "color" in kinds and 3 not in channels:
            raise InputError(
                f"--diffaugment color: it changes images of 3 channels, and this discriminator gets images of "
                f"{' and '.join(map(str, channels))}; leave color out"
            )
        self.kinds, self.channels = kinds, channels

    def __call__(self, net: nn.Module, inputs: tuple) -> tuple:
        images, *rest = inputs
        make = partial(torch.rand, len(images), DRAWS)
        # On the CPU, dropout and penalties draw from the same generator, in the order of the step.
        draws = make() if images.device.type == "cpu" else drawn(make, images.device)
        return (self.augment(images, draws), *rest)

    def augment(self, images: torch.Tensor, draws: torch.Tensor) -> torch.Tensor:
        """The augmented images; `draws`: (N, DRAWS), uniform in [0, 1)."""
        draws = draws.to(images.device)
        if "color" in self.kinds:
            parts = images.split(self._parts(images.shape[1]), 1)
            images = torch.cat([color(part, draws[:, :3]) if part.shape[1] == 3 else part for part in parts], 1)
        if "translation" in self.kinds:
            images = translation(images, draws[:, 3:5])
        return cutout(images, draws[:, 5:7]) if "cutout" in self.kinds else images

    def _parts(self, number: int) -> list[int]:
        if self.channels is None and number % 3:
            raise InputError(f"--diffaugment color: it changes images of 3 channels, not of {number}; leave color out")
        return [3] * (number // 3) if self.channels is None else list(self.channels)


def color(images: torch.Tensor, draws: torch.Tensor) -> torch.Tensor:
    """Add -0.5 to 0.5 to the brightness, multiply saturation by 0 to 2 and contrast by 0.5 to 1.5; draws: (N, 3)."""
    brightness, saturation, contrast = draws.to(images.dtype)[:, :, None, None, None].unbind(1)  # (N, 1, 1, 1) each
    images = images + (brightness - 0.5)
    gray = images.mean(1, keepdim=True)
    images = gray + (images - gray) * (2 * saturation)
    level = images.mean((1, 2, 3), keepdim=True)
    return level + (images - level) * (contrast + 0.5)


def translation(images: torch.Tensor, draws: torch.Tensor) -> torch.Tensor:
    """Shift by whole pixels, up to SHIFT of each side; pixels from outside the image are 0; draws: (N, 2)."""
    for axis, draw in zip((2, 3), draws.unbind(1)):
        side = images.shape[axis]
        most = int(side * SHIFT + 0.5)
        shift = (draw * (2 * most + 1)).long() - most  # -most to most, (N,)
        source = torch.arange(side, device=images.device) - shift[:, None]  # (N, side)
        inside = (source >= 0) & (source < side)
        # Pixels from outside are those of the other edge times 0, so that no pixel is gathered twice and the order of
        # the sum in the gradient does not matter.
        source, inside = (_along(axis, each) for each in (source % side, inside))
        images = images.gather(axis, source.expand_as(images)) * inside
    return images


def cutout(images: torch.Tensor, draws: torch.Tensor) -> torch.Tensor:
    """Set a rectangle, whose sides are HOLE of the image's, to 0; it may lie partly outside; draws: (N, 2)."""
    hidden = torch.ones((), dtype=torch.bool, device=images.device)
    for axis, draw in zip((2, 3), draws.unbind(1)):
        side = images.shape[axis]
        size = int(side * HOLE + 0.5)
        centre = (draw * (side + 1 - size % 2)).long()[:, None]  # (N, 1)
        place = torch.arange(side, device=images.device) - (centre - size // 2)  # (N, side)
        hidden = hidden & _along(axis, (place >= 0) & (place < size))
    return images * ~hidden


def _along(axis: int, values: torch.Tensor) -> torch.Tensor:
    """(N, side) as (N, 1, side, 1) for axis 2, and as (N, 1, 1, side) for axis 3."""
    return values[:, None, :, None] if axis == 2 else values[:, None, None, :]
