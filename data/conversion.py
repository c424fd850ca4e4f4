"""Convert images of any kind to tensors for networks, and results back to the same kind.

========================  =============================================  ==========================================
kind                      values in                                      values out
========================  =============================================  ==========================================
PIL image                 8 or 16 bits, or "F" with values in [0, 1]     a PIL image of the same mode; "RGB" for "P",
                                                                         "L" for "1"
path                      an image file                                  a PIL image of the file's mode, upright; an
                                                                         array where PIL can't hold the file's values
Picture                   of data.pictures.read                          a Picture, for data.pictures.write
numpy array               (H, W) or (H, W, C): integers of 8, 16 or 32   an array of the same dtype
                          bits, or floating point in [0, 1]
tensor                    (C, H, W) or (N, C, H, W) in [-1, 1]           a tensor of the same dtype and device
========================  =============================================  ==========================================

Networks compute in float32: values of 8 and 16 bits are converted without loss, values of more than 24 bits are
rounded.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from PIL import Image

from data import notices
from data.pictures import read
from data.values import Picture, from_pil, of_array, to_pil

LUMA = (0.299, 0.587, 0.114)  # ITU-R 601-2, the weights of PIL's mode L
EXPECTED = "expected a path, a PIL image, a numpy array (H, W) or (H, W, C), or a tensor (C, H, W) or (N, C, H, W)"

Back = Callable[[torch.Tensor], Any]
Range = tuple[float, float]
ALL = slice(None)


def to_tensor(image: Any, channels: int, data_range: Range | None = None) -> tuple[torch.Tensor, Back]:
    """(tensor (C, H, W) or (N, C, H, W) in [-1, 1] with `channels` channels, function from a result to the same kind).

    `data_range`: the values that become -1 and 1, by default the limits of the dtype. If `channels` requires it, gray
    becomes colour by repetition and colour becomes gray by luma; a result is then converted back to the image's own
    number of channels. Transparency that is no input of the network is copied to the result. Raises TypeError for
    another kind of object, ValueError for values, shapes or channel counts that do not fit.
    """
    if isinstance(image, torch.Tensor):
        return _from_tensor(image, channels)
    picture, restore = to_picture(image, data_range)
    convert = Converter(picture, channels)
    return convert.tensor(), lambda made: restore(picture._replace(array=convert.values(made)))


def to_picture(image: Any, data_range: Range | None = None) -> tuple[Picture, Callable[[Picture], Any]]:
    """(the image as a Picture, function that converts a Picture to the kind of the image)."""
    if isinstance(image, Picture):
        return image, lambda made: made
    if isinstance(image, str | os.PathLike):
        return read(image, data_range), _pil_or_array
    if isinstance(image, Image.Image):
        return _noted(from_pil(image, data_range), data_range), _to_pil
    if isinstance(image, np.ndarray):
        return _noted(of_array(image, data_range), data_range), _to_array
    raise TypeError(f"{type(image).__name__}: {EXPECTED}")


def _noted(picture: Picture, data_range: Range | None) -> Picture:
    if data_range is None:
        notices.check_bits("an image", picture.colours, picture.range)
    return picture


def _to_pil(picture: Picture) -> Image.Image:
    """A PIL image; colour of more than 8 bits becomes 8-bit RGB, because PIL has no other mode."""
    image = to_pil(picture)
    if image is None:
        low, high = picture.range
        values = (picture.array.astype(np.float64) - low) / (high - low) * 255
        image = to_pil(picture._replace(array=np.rint(np.clip(values, 0, 255)).astype(np.uint8)))
    if image is None:
        raise ValueError(f"a result of {picture.array.shape[2]} channels: PIL has no mode for it; use arrays")
    return image


def _to_array(picture: Picture) -> np.ndarray:
    return picture.array[:, :, 0] if picture.flat and picture.array.shape[2] == 1 else picture.array


def _pil_or_array(picture: Picture) -> Image.Image | np.ndarray:
    image = to_pil(picture)
    return _to_array(picture) if image is None else image


class Converter:
    """Converts windows of a Picture to tensors, and results to windows of an array of the Picture's dtype.

    `rows` and `columns` are the slices of the window, by default the whole picture.
    """

    def __init__(self, picture: Picture, channels: int) -> None:
        self.picture, self.channels = picture, channels
        own = picture.array.shape[2]
        self.splits_alpha = picture.alpha and channels != own
        self.own = own - self.splits_alpha
        if self.own != channels and {self.own, channels} != {1, 3}:
            raise ValueError(
                f"an image of {own} channels: expected {channels} (only 1 and 3 are converted to each other)"
            )

    def tensor(self, rows: slice = ALL, columns: slice = ALL) -> torch.Tensor:
        """(channels, h, w) in float32, contiguous."""
        values = with_channels(self.picture.array[rows, columns, : self.own], self.channels)
        if values.dtype.byteorder not in "=|":
            values = values.astype(values.dtype.newbyteorder("="))
        return scaled(torch.from_numpy(values.astype(np.float32)).permute(2, 0, 1), self.picture.range).contiguous()

    def values(self, made: torch.Tensor, rows: slice = ALL, columns: slice = ALL) -> np.ndarray:
        """An array (h, w, C') of the picture's dtype for a result (C', h, w); integers are rounded and clipped."""
        dtype, (low, high) = self.picture.array.dtype, self.picture.range
        values = (made.detach().float().cpu().permute(1, 2, 0).numpy() + 1) / 2 * (high - low)
        values = values + low if low else values
        if self.own != self.channels:
            if self.own == 1:
                notices.check_colours(values, high - low)
            values = with_channels(values, self.own)
        if dtype.kind != "f":
            limits = np.iinfo(dtype)
            # float32 would round the limits of 32-bit integers to values outside the dtype.
            values = np.nan_to_num(values, nan=low).astype(np.float64) if dtype.itemsize == 4 else values
            values = np.rint(np.clip(np.nan_to_num(values, nan=low), limits.min, limits.max))
        values = values.astype(dtype)
        if self.splits_alpha:
            alpha = self.picture.array[rows, columns, self.own :]
            return np.concatenate((values, alpha), axis=2) if alpha.shape[:2] == values.shape[:2] else values
        return values


def scaled(values: torch.Tensor, data_range: Range) -> torch.Tensor:
    """Scale float32 values in place, so that the ends of `data_range` become -1 and 1."""
    low, high = data_range
    return (values.sub_(low) if low else values).div_(high - low).mul_(2).sub_(1)


def with_channels(values: np.ndarray, channels: int) -> np.ndarray:
    """(H, W, channels) of (H, W, C)."""
    own = values.shape[2]
    if own == channels:
        return values
    if own == 1:
        return np.repeat(values, channels, axis=2)
    if values.dtype == np.uint8:  # by PIL, to round as the data sets do
        return np.asarray(Image.fromarray(values).convert("L"))[:, :, None]
    return (values.astype(np.float64) @ np.array(LUMA))[:, :, None]


def _from_tensor(image: torch.Tensor, channels: int) -> tuple[torch.Tensor, Back]:
    check_tensor(image, channels)
    return image.detach().float(), lambda made: made.to(image.device, image.dtype)


def check_tensor(image: torch.Tensor, channels: int) -> None:
    if not image.is_floating_point():
        raise TypeError(f"a tensor of {image.dtype}: expected floating point in [-1, 1]")
    if image.dim() not in (3, 4) or 0 in image.shape:
        raise ValueError(f"a tensor of shape {tuple(image.shape)}: expected (C, H, W) or (N, C, H, W)")
    if image.shape[-3] != channels:
        raise ValueError(f"a tensor of {image.shape[-3]} channels: expected {channels}")
    if not (image.detach().abs().max() <= 1):
        raise ValueError("a tensor with values outside [-1, 1]: scale its values to this range")
