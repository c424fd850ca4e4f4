"""Notices about losses of an image on its way to the network that are no errors. Each kind is printed once per run."""

from __future__ import annotations

import contextlib
import math
import mmap
import warnings

import numpy as np
from PIL import Image

from util.errors import Notice
from util.flags import Sides

PAGED = ("TIFF", "GIF", "WEBP", "PNG", "AVIF", "HEIF")  # not JPEG, whose further images are previews and depth maps
DISTORTED = 1.05  # smallest ratio of two aspect ratios that is reported
KINDS = ("pages", "bits", "proportions", "colours")
_shown = mmap.mmap(-1, len(KINDS))  # shared with forked data workers, so that one of all processes prints a notice


def notify_once(kind: str, text: str) -> None:
    """Warn with a Notice, which programs print as one line, unless a notice of this kind was printed before."""
    place = KINDS.index(kind)
    if not _shown[place]:
        _shown[place] = 1
        warnings.warn(Notice(f"{text} (this notice appears only once)"), stacklevel=3)


def reset() -> None:
    """Allow every kind of notice to be printed again."""
    _shown[:] = bytes(len(KINDS))


def check_pages(path: object, image: Image.Image) -> None:
    """Notify if an image that PIL has opened, but not decoded yet, has further pages or frames."""
    if image.format not in PAGED:
        return
    with contextlib.suppress(Exception):  # a damaged second page
        if getattr(image, "is_animated", False):
            further_pages(path, image.format)


def further_pages(path: object, kind: str) -> None:
    """Notify that a file has further pages or frames, which are not used."""
    mend = "save each page as a file" if kind == "TIFF" else "convert it to mp4 to translate every frame"
    what = "page" if kind == "TIFF" else "frame"
    notify_once("pages", f"{path}: it has more than one {what}, and only the first is used; {mend}")


def check_bits(path: object, colours: np.ndarray, low_high: tuple[float, float]) -> None:
    """Notify if 16-bit values (without transparency, and without --data_range) use at most 14 of the 16 bits."""
    if low_high != (0, 65535):
        return
    highest = int(colours.max())
    bits = max(8, 2 * math.ceil(highest.bit_length() / 2))
    if bits <= 14:
        notify_once(
            "bits",
            f"{path}: its largest value is {highest} of 65535, so the network sees a dark image; for values of {bits} "
            f"bits train with --data_range 0,{2**bits - 1}",
        )


COLOURFUL = 0.05  # largest difference of channels, relative to the range of the values, that still counts as gray


def check_colours(values: np.ndarray, size: float) -> None:
    """Notify if the colours of a translation (H, W, 3) are lost because its source is gray; `size` of the range."""
    if np.ptp(values, axis=2).max() > COLOURFUL * size:
        notify_once(
            "colours",
            "a gray image gets a gray translation, and the network's result has colours; convert the image to RGB to "
            "keep them",
        )


def check_proportions(old: tuple[int, int], new: tuple[int, int], crop: Sides, word: str) -> None:
    """Notify if --preprocess `word` changes the proportions; `old` and `new` are sizes (width, height)."""
    change = (old[0] / old[1]) / (new[0] / new[1])
    if 1 / DISTORTED <= change <= DISTORTED:
        return
    width = max(new[0], math.ceil(crop.height * old[0] / old[1]))
    before, after = ("{}x{}".format(*size) for size in (old, new))
    text = f"--preprocess {word}: an image of {before} pixels is squeezed to {after}; to keep the proportions"
    mend = f"train with --preprocess scale_width_and_crop --load_size {width}, and test with --preprocess none"
    notify_once("proportions", f"{text} {mend}")
