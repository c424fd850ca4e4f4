"""Read image files upright, as 8-bit RGB (open_image) or with their exact values (read), and write them (write)."""

from __future__ import annotations

import contextlib
import os
import warnings

import numpy as np
from PIL import Image, features

from data import codecs, notices
from data.image_names import MENDS, unread_ending
from data.loading.archive import source
from data.values import SIXTEEN_BIT, Picture, from_pil, of_array, to_pil, turn_of, upright
from util.errors import InputError
from util.files import replacing

# An explicit list, so that no file, whatever its ending, selects a decoder that runs other programs (PostScript).
FORMATS = ["JPEG", "PNG", "BMP", "PPM", "GIF", "TIFF", "WEBP", *(["AVIF"] if features.check("avif") else [])]
warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # twice as many pixels are an error
Image.preinit()  # load the common decoders; otherwise PIL would load all decoders at the first image
with contextlib.suppress(ImportError):  # HEIC, if the package is installed
    import pillow_heif

    pillow_heif.register_heif_opener()
    FORMATS.append("HEIF")


def read(path: str | os.PathLike, data_range: tuple[float, float] | None = None) -> Picture:
    """Read a file as a Picture, turned upright by its EXIF orientation. InputError with the path if it can't be read.

    `data_range`: the values that become -1 and 1; values outside it are not clipped. None: the limits of the file's
    dtype, or 0 and 1 for floating point. `path` may be a member of a shard.
    """
    try:
        file = source(path)
        kind = codecs.kind_of(file, os.fspath(path))
        if kind is None:
            with Image.open(file, formats=FORMATS) as image:
                notices.check_pages(path, image)
                image.load()
                picture = from_pil(upright(image), data_range)
        else:
            array, notes = codecs.read(file, kind)
            colour_png = kind == "PNG" and array.shape[2] in (2, 4)
            picture = of_array(array, data_range)._replace(alpha=colour_png, notes=notes)
        if data_range is None:
            notices.check_bits(path, picture.colours, picture.range)
        return picture
    except MemoryError:
        raise
    except Exception as error:  # decoders raise many types of exceptions for damaged files
        raise InputError(f"{os.fspath(path)}: {reason(error, path)}") from error


QUALITY: dict[str, dict] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"lossless": True},
    "AVIF": {"quality": 95},
    "HEIF": {"quality": 95},
}


def write(path: str | os.PathLike, picture: Picture | Image.Image) -> None:
    """Write a picture atomically in the format of the file's ending, with its colour profile and EXIF data.

    Bit depth and channels are those of the picture; InputError if the format can't hold them. Formats are lossless
    except JPEG and AVIF, which get high quality.
    """
    picture = from_pil(picture) if isinstance(picture, Image.Image) else picture
    ending = os.path.splitext(path)[1].lower()
    array = picture.array[:, :, 0] if picture.array.shape[2] == 1 else picture.array
    try:
        with replacing(os.fspath(path)) as file:
            if codecs.write(file, array, ending, picture.notes):
                return
            image = to_pil(picture)
            kind = Image.registered_extensions().get(ending, "PNG")
            if image is None:
                raise InputError(f"no image format for {array.shape} of {array.dtype}")
            if kind == "JPEG" and image.mode not in ("L", "RGB", "CMYK"):
                image = image.convert("L" if image.mode == "LA" else "RGB")
            notes = {key: picture.notes[key] for key in ("icc_profile", "exif", "dpi") if key in image.info}
            image.save(file, format=kind, **QUALITY.get(kind, {}), **notes)
    except InputError as error:
        raise InputError(f"{os.fspath(path)}: {str(error).removeprefix(f'{os.fspath(path)}: ')}") from None


def open_image(path):
    """Read a file as a PIL image of mode RGB. InputError with the path if it can't be read.

    `path` may be a member of a shard (data/loading/archive.py). EXIF rotation is applied. 16-bit gray is scaled to
    8 bits, floating-point gray is read as [0, 1]. Transparent pixels are blended with white, as in viewers. Images of
    more than 2 * PIL.Image.MAX_IMAGE_PIXELS (179 million) pixels are refused as decompression bombs.
    """
    try:
        with Image.open(source(path), formats=FORMATS) as image:
            notices.check_pages(path, image)
            image.load()
            turn = turn_of(image)
            if image.mode != "RGB" or "transparency" in image.info:
                image = to_rgb(image)
            return image if turn is None else image.transpose(turn)
    except MemoryError:
        raise
    except Exception as error:  # decoders raise many types of exceptions for damaged files
        raise InputError(f"{path}: {reason(error, path)}") from error


def to_rgb(image):
    if image.mode in SIXTEEN_BIT:
        return from_gray(image, 65535, "16-bit")
    if image.mode == "F":
        return from_gray(image, 1, "floating-point")
    if not image.has_transparency_data:
        return image.convert("RGB")
    layer = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")


def from_gray(image, white, kind):
    """Convert gray values 0..white to 8-bit RGB, rounded."""
    gray = np.asarray(image).astype(np.float64)
    low, high = gray.min(), gray.max()
    if not (low >= 0 and high <= white):  # also true for NaN
        raise InputError(f"{kind} gray values from {low:g} to {high:g} are outside 0 to {white}; save it as 8-bit gray")
    return Image.fromarray(np.rint(gray * (255 / white)).astype(np.uint8)).convert("RGB")


def reason(error, path=""):
    """The reason of a decoder's error, in one line."""
    if (ending := unread_ending(os.fspath(path))) in MENDS:
        return f"{ending} files need {MENDS[ending]}"
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, Image.UnidentifiedImageError):
        return f"not an image of a supported format ({', '.join(FORMATS)})"
    if isinstance(error, Image.DecompressionBombError):
        return f"too large to be read safely ({text}); scale it down first"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return text


@contextlib.contextmanager
def naming(path):
    """Put the path in front of the message of an InputError that is raised in the block."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def load_image(path, transform):
    """transform(the RGB image at `path`); an InputError names the path."""
    image = open_image(path)
    with naming(path):
        return transform(image)
