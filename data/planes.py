"""Images of any bit depth and number of channels in a form that the stages of data/transforms.py accept."""

from __future__ import annotations

import os
from typing import Any

import torch
from PIL import Image

from data import codecs
from data.conversion import Converter
from data.loading.archive import source
from data.pictures import naming, open_image, read
from util.errors import InputError
from util.namespace import framework


class Planes:
    """Channels as PIL images of floating point in [-1, 1]. Has the methods of a PIL image that the stages call."""

    mode = "planes"

    def __init__(self, bands: list[Image.Image]) -> None:
        self.bands = bands
        self.size = bands[0].size
        self.width, self.height = self.size

    @classmethod
    def of(cls, tensor: torch.Tensor) -> Planes:
        return cls([Image.fromarray(band.numpy()) for band in tensor])

    def _each(self, method: str, *arguments: Any) -> Planes:
        return Planes([getattr(band, method)(*arguments) for band in self.bands])

    def resize(self, size: tuple[int, int], method: Any = Image.Resampling.BICUBIC) -> Planes:
        return self._each("resize", size, method)

    def crop(self, box: tuple[int, int, int, int]) -> Planes:
        return self._each("crop", box)

    def transpose(self, method: Image.Transpose) -> Planes:
        return self._each("transpose", method)

    def convert(self, mode: str) -> Planes:
        """Returns itself: open_exact() has converted to the channels of the network."""
        return self


def open_exact(path: str, channels: int, data_range: tuple[float, float] | None = None) -> Image.Image | Planes:
    """The image for a network with `channels` input channels: 8-bit RGB if this is exact, otherwise Planes."""
    if data_range is None and channels in (1, 3) and has_8_bits(path):
        return open_image(path)
    picture = read(path, data_range)
    with naming(path):
        return Planes.of(_tensor(picture, channels))


def _tensor(picture, channels):
    try:
        return Converter(picture, channels).tensor()
    except ValueError as error:
        raise InputError(f"{error} (--input_nc, --output_nc)") from None


def has_8_bits(path: str) -> bool:
    """Whether open_image() reads the file without a loss."""
    try:
        return codecs.has_8_bits(source(path))
    except InputError:
        return True  # a member of a damaged shard: open_image reports it


class Side:
    """Opens the images of one side with `channels` channels.

    `folders`: names of sub-folders whose images of equal names are stacked along the channels, in this order; a path in
    the first of them is the path of the stack.
    """

    def __init__(self, opt, channels: int, folders: list[str] | tuple = ()) -> None:
        self.channels, self.folders = channels, list(folders)
        data_range = getattr(framework(opt), "data_range", None)
        self.data_range = data_range and tuple(data_range)

    def open(self, path: str) -> Image.Image | Planes:
        if len(self.folders) < 2:
            return open_exact(path, self.channels, self.data_range)
        pictures = [read(each, self.data_range) for each in self.files_of(path)]
        bands = [Planes.of(Converter(picture, picture.array.shape[2]).tensor()) for picture in pictures]
        sizes = {each.size for each in bands}
        if len(sizes) > 1:
            shown = ", ".join(f"{width}x{height}" for width, height in sorted(sizes))
            raise InputError(f"{path}: the images of the folders {', '.join(self.folders)} differ in size: {shown}")
        stacked = Planes([band for planes in bands for band in planes.bands])
        if len(stacked.bands) != self.channels:
            counts = ", ".join(f"{name} {len(planes.bands)}" for name, planes in zip(self.folders, bands))
            raise InputError(
                f"{path}: the folders have {len(stacked.bands)} channels together ({counts}), but the network has "
                f"{self.channels}; change --input_nc or --output_nc"
            )
        return stacked

    def files_of(self, path: str) -> list[str]:
        """The files of the stack at `path`, or [path] without folders to stack."""
        if len(self.folders) < 2:
            return [path]
        before, after = path.split(os.sep + self.folders[0] + os.sep, 1)
        stem = os.path.splitext(after)[0]
        return [path, *(_with_stem(os.path.join(before, folder), stem) for folder in self.folders[1:])]

    def load(self, path: str, transform) -> torch.Tensor:
        image = self.open(path)
        with naming(path):
            return transform(image)


def _with_stem(folder: str, stem: str) -> str:
    place, name = os.path.split(os.path.join(folder, stem))
    found = sorted(each for each in _names(place) if os.path.splitext(each)[0] == name)
    if not found:
        raise InputError(f"{folder}: no image {stem}; each folder of a stack needs an image of each name")
    return os.path.join(place, found[0])


def _names(folder: str) -> list[str]:
    return os.listdir(folder) if os.path.isdir(folder) else []
