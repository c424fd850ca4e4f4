"""What an image loses on its way to the network without an error: one line for each kind of loss, once in a program."""

from __future__ import annotations

import contextlib
import math
import mmap
import warnings

import numpy as np
from PIL import Image

from util.errors import Notice
from util.flags import Sides

PAGED = ("TIFF", "GIF", "WEBP", "PNG", "AVIF", "HEIF")  # not JPEG, whose further pictures are previews and depth maps
BENT = 1.05  # a change of the proportions by less is not worth a line
KINDS = ("pages", "bits", "proportions")
_said = mmap.mmap(-1, len(KINDS))  # shared with data workers, which are forked: all processes together say it once


def say_once(kind: str, text: str) -> None:
    """Warn with a Notice, which the programs print as a line."""
    place = KINDS.index(kind)
    if not _said[place]:
        _said[place] = 1
        warnings.warn(Notice(f"{text} (said once)"), stacklevel=3)


def forget() -> None:
    """Let every kind be said again."""
    _said[:] = bytes(len(KINDS))


def of_pages(path: object, image: Image.Image) -> None:
    """Of a file that PIL has opened and not yet decoded: is the first page or frame the only one?"""
    if image.format not in PAGED:
        return
    with contextlib.suppress(Exception):  # a damaged second page
        if getattr(image, "is_animated", False):
            further_pages(path, image.format)


def further_pages(path: object, kind: str) -> None:
    mend = "save the others as files of their own" if kind == "TIFF" else "make it an mp4 to translate every frame"
    what = "page" if kind == "TIFF" else "frame"
    say_once("pages", f"{path}: it has more than one {what}, and only the first is used; {mend}")


def of_bits(path: object, colours: np.ndarray, low_high: tuple[float, float]) -> None:
    """Of values without transparency that were given no range: do they use 16 bits?"""
    if low_high != (0, 65535):
        return
    highest = int(colours.max())
    bits = max(8, 2 * math.ceil(highest.bit_length() / 2))
    if bits <= 14:
        say_once(
            "bits",
            f"{path}: its largest value is {highest} of 65535, so the network sees a dark image; for values of {bits} "
            f"bits train with --data_range 0,{2**bits - 1}",
        )


def of_proportions(old: tuple[int, int], new: tuple[int, int], crop: Sides, word: str) -> None:
    """Of sizes (width, height) before and after --preprocess `word`: are the proportions as they were?"""
    change = (old[0] / old[1]) / (new[0] / new[1])
    if 1 / BENT <= change <= BENT:
        return
    width = max(new[0], math.ceil(crop.height * old[0] / old[1]))
    before, after = ("{}x{}".format(*size) for size in (old, new))
    text = f"--preprocess {word}: an image of {before} pixels is squeezed to {after}; to keep the proportions"
    mend = f"train with --preprocess scale_width_and_crop --load_size {width}, and test with --preprocess none"
    say_once("proportions", f"{text} {mend}")
