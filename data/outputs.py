"""Write results of a test in the bit depth and format of their source, if an 8-bit PNG would lose values."""

from __future__ import annotations

import contextlib
import functools
import os
from argparse import Namespace
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image

from data import codecs
from data.conversion import Converter
from data.loading.archive import source
from data.pictures import open_image, read, write
from data.values import KEPT, ORIENTATION, Picture

__all__ = ["ExactFiles", "open_image"]

FAMILIES = (".png", ".tif", ".tiff", ".npy", ".npz")  # endings of sources whose results keep the ending


class ExactFiles:
    """Callable with a result and its source; returns (ending, function that writes the file), or None for 8-bit PNG.

    8-bit PNG is enough for gray or colour results of 8-bit sources, unless --output_format sets another format.
    """

    def __init__(self, opt: Namespace) -> None:
        self.format = getattr(opt, "output_format", None)
        data_range = getattr(opt, "data_range", None)
        self.data_range = None if data_range is None else (data_range[0], data_range[1])

    def __call__(self, result: torch.Tensor, path: str) -> tuple[str, Callable[[str], None]] | None:
        """`result` is (C, H, W) in [-1, 1], made from the image file at `path`."""
        if not _is_file(path):
            return None  # a plug-in's data set may use names that are no files
        plain = len(result) in (1, 3) and _has_8_bits(path)
        if plain and self.format in (None, "png") and self.data_range is None:
            return None
        like = _read(path, self.data_range)
        own = os.path.splitext(path)[1].lower()
        ending = "." + self.format if self.format else own if own in FAMILIES else ".png"
        # The channels are those of the result; the dtype and the range of the values are those of the source.
        one = like._replace(array=like.array[:, :, :1], alpha=False)
        array = np.concatenate([Converter(one, 1).values(band[None]) for band in result], axis=2)
        return ending, lambda target: write(target, like._replace(array=array, mode="", alpha=False))

    def notes(self, path: str) -> dict:
        """The colour profile and EXIF data of a source, for PIL's save()."""
        # Sources that PIL can't open have none.
        with contextlib.suppress(Exception), Image.open(source(path)) as image:
            kept = {key: image.info[key] for key in KEPT if image.info.get(key)}
            if "exif" in kept:
                exif = image.getexif()
                exif.pop(ORIENTATION, None)
                kept["exif"] = exif.tobytes()
            return kept
        return {}


def _is_file(path):
    if os.path.isfile(path):
        return True
    with contextlib.suppress(Exception):
        return source(path) is not path  # a member of a shard
    return False


@functools.lru_cache(maxsize=1)
def _has_8_bits(path: str) -> bool:
    return codecs.has_8_bits(source(path))


@functools.lru_cache(maxsize=1)  # the results of one source come one after the other
def _read(path: str, data_range) -> Picture:
    return read(path, data_range)
