"""Picture: the exact values of an image of any bit depth and number of channels; conversion from and to PIL images and
arrays."""

from __future__ import annotations

import contextlib
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from data.tiff import ORIENTATION, description_of

SIXTEEN_BIT = ("I;16", "I;16B", "I;16L", "I;16N", "I")

Turn = Image.Transpose
UPRIGHT = {
    2: Turn.FLIP_LEFT_RIGHT,
    3: Turn.ROTATE_180,
    4: Turn.FLIP_TOP_BOTTOM,
    5: Turn.TRANSPOSE,
    6: Turn.ROTATE_270,
    7: Turn.TRANSVERSE,
    8: Turn.ROTATE_90,
}


class Picture(NamedTuple):
    """The exact values of an image, and the properties of its file that a result should keep."""

    array: np.ndarray  # (H, W, C) in the file's dtype
    range: tuple[float, float]  # the values that become -1 and 1
    mode: str = ""  # PIL's mode of the image; "" if it was not read by PIL
    alpha: bool = False  # whether the last channel is transparency
    flat: bool = False  # whether the source was an array (H, W)
    notes: dict[str, Any] = {}  # icc_profile, exif (upright), dpi

    @property
    def colours(self) -> np.ndarray:
        """The channels without transparency."""
        return self.array[:, :, :-1] if self.alpha else self.array


def orientation(image):
    with contextlib.suppress(Exception):  # an image with damaged EXIF data is still readable
        return image.getexif().get(ORIENTATION)


def turn_of(image):
    """The transposition that turns a PIL image upright; None for an upright image."""
    return UPRIGHT.get(orientation(image))


def upright(image: Image.Image) -> Image.Image:
    """The PIL image turned upright by its EXIF orientation, which is removed from the result."""
    turn = turn_of(image)
    if turn is None:
        return image
    exif = image.getexif()
    exif.pop(ORIENTATION, None)
    result = image.transpose(turn)
    result.info = {**image.info, "exif": description_of(exif) if image.format == "TIFF" else exif.tobytes()}
    return result


KEPT = ("icc_profile", "exif", "dpi")  # entries of a PIL image's info that its translation gets


def from_pil(image: Image.Image, data_range: tuple[float, float] | None = None) -> Picture:
    """A PIL image as a Picture: gray and RGB, with or without transparency, unchanged; other 8-bit modes as RGB."""
    mode = image.mode
    notes = {key: image.info[key] for key in KEPT if image.info.get(key)}
    if image.format == "TIFF" and "exif" not in notes and (described := description_of(image.getexif())):
        notes["exif"] = described
    if mode in SIXTEEN_BIT or mode == "F":
        array = np.asarray(image)
        if mode == "I" and data_range is None and array.min() >= 0 and array.max() <= 65535:
            data_range = (0, 65535)  # PIL reads some 16-bit files in this 32-bit mode
        array = array.astype(np.uint16) if mode.startswith("I;") else array
        return of_array(array, data_range)._replace(mode=mode, notes=notes)
    alpha = "A" in image.getbands()
    array = _pixels(image, "L" if mode in ("L", "LA", "1") else "RGB")
    array = array[:, :, None] if array.ndim == 2 else array
    if alpha:
        array = np.concatenate((array, np.asarray(image.getchannel("A"))[:, :, None]), axis=2)
    return of_array(array, data_range)._replace(mode=mode, alpha=alpha, notes=notes)


ROWS = 1024  # rows converted at a time, so that no second copy of a large image is in memory


def _pixels(image: Image.Image, mode: str) -> np.ndarray:
    """The image converted to an 8-bit mode, as an array."""
    if image.height <= ROWS:
        return np.asarray(image.convert(mode))
    array = np.empty((image.height, image.width, 3) if mode == "RGB" else (image.height, image.width), np.uint8)
    for top in range(0, image.height, ROWS):
        strip = image.crop((0, top, image.width, min(top + ROWS, image.height)))
        array[top : top + ROWS] = np.asarray(strip.convert(mode))
    return array


def of_array(array: np.ndarray, data_range: tuple[float, float] | None = None) -> Picture:
    """An array (H, W) or (H, W, C) as a Picture. Raises TypeError or ValueError for other arrays."""
    dtype = array.dtype
    if dtype.kind not in "uif" or (dtype.kind in "ui" and dtype.itemsize > 4):
        raise TypeError(
            f"an array of {dtype}: expected uint8, uint16 or floating point, or another integer of at most 32 bits"
        )
    if array.ndim not in (2, 3) or 0 in array.shape:
        raise ValueError(f"an array of shape {array.shape}: expected (H, W) or (H, W, C)")
    if dtype.kind == "f":
        low, high = array.min(), array.max()
        if not np.isfinite(high - low):
            raise ValueError("a floating-point array with values that are NaN or infinite")
        if data_range is None and not (low >= 0 and high <= 1):
            raise ValueError(
                f"floating-point values from {low:g} to {high:g}, outside [0, 1]: scale them to this range, or train "
                "with their range as --data_range"
            )
        usual = (0.0, 1.0)
    else:
        usual = (float(np.iinfo(dtype).min), float(np.iinfo(dtype).max))
    flat = array.ndim == 2
    return Picture(array[:, :, None] if flat else array, data_range or usual, flat=flat)


def to_pil(picture: Picture) -> Image.Image | None:
    """The Picture as a PIL image, in the source's mode if the channels fit it; None if PIL has no mode for it."""
    array, mode = picture.array, picture.mode
    channels = array.shape[2]
    if array.dtype == np.uint8 and channels <= 4:
        image = Image.fromarray(array[:, :, 0] if channels == 1 else array, ("L", "LA", "RGB", "RGBA")[channels - 1])
        return _in_mode(image, mode, picture.notes)
    if channels == 1 and (array.dtype in (np.uint16, np.int32) or array.dtype == np.float32):
        image = Image.fromarray(np.ascontiguousarray(array[:, :, 0]))
        image.info.update(picture.notes)
        return image
    return None


def _in_mode(image: Image.Image, mode: str, notes: dict) -> Image.Image:
    """The image in the mode and with the notes of its source. A colour result of a gray source stays in colour and
    does not get the gray source's colour profile. Palettes and two levels can't hold the colours of a result, so such
    sources get a result in RGB or gray."""
    if image.mode in ("RGB", "RGBA") and mode in ("L", "LA", "1", *SIXTEEN_BIT, "F"):
        notes = {key: value for key, value in notes.items() if key != "icc_profile"}
    elif mode and mode != image.mode and mode not in (*SIXTEEN_BIT, "F", "P", "PA", "1"):
        image = image.convert(mode)
    image.info.update(notes)
    return image
