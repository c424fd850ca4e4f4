"""Image file -> 8-bit RGB picture, the right way up. Every data set opens its images here."""

import contextlib

import numpy as np
from PIL import Image

from data.loading.archive import source
from util.errors import InputError

# Listed, so that a file can't pick a decoder that runs other programs (PostScript) whatever it calls itself.
FORMATS = ("JPEG", "PNG", "BMP", "PPM", "GIF", "TIFF", "WEBP")
SIXTEEN_BIT = ("I;16", "I;16B", "I;16L", "I;16N", "I")

ORIENTATION = 0x0112  # the EXIF tag; 1 is upright
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

Image.preinit()  # the common decoders now, instead of all of them at the first image


def open_image(path):
    """The image as a PIL image of mode RGB. Raises InputError naming the path if it can't be read.

    `path` may be a member of a shard (data/loading/archive.py). EXIF rotation is applied. 16-bit gray is scaled to
    8 bits, floating-point gray is taken as [0, 1]. Transparent pixels are laid on white, as viewers show them. Images
    of more than 2 * PIL.Image.MAX_IMAGE_PIXELS (179 million) pixels are refused, as decompression bombs.
    """
    try:
        with Image.open(source(path), formats=FORMATS) as image:
            image.load()
            turn = UPRIGHT.get(orientation(image))
            if image.mode != "RGB" or "transparency" in image.info:
                image = to_rgb(image)
            return image if turn is None else image.transpose(turn)
    except MemoryError:
        raise
    except Exception as error:  # decoders raise whatever their parsing stumbles over
        raise InputError(f"{path}: {reason(error)}") from error


def orientation(image):
    with contextlib.suppress(Exception):  # a picture with broken EXIF data is still a picture
        return image.getexif().get(ORIENTATION)


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
    """Gray levels 0..white to 8-bit RGB, rounded."""
    gray = np.asarray(image).astype(np.float64)
    low, high = gray.min(), gray.max()
    if not (low >= 0 and high <= white):  # in these words NaN is outside too
        raise InputError(f"{kind} gray goes from {low:g} to {high:g}, not within 0 to {white}; save it as 8-bit gray")
    return Image.fromarray(np.rint(gray * (255 / white)).astype(np.uint8)).convert("RGB")


def reason(error):
    """Why a decoder gave up, in one line."""
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, Image.UnidentifiedImageError):
        return f"not an image of a kind that can be read ({', '.join(FORMATS)})"
    if isinstance(error, Image.DecompressionBombError):
        return f"too large to be read safely ({text}); scale it down first"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return text


@contextlib.contextmanager
def about(path):
    """Put the path in front of an InputError that is raised while this image is worked on."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def load_image(path, transform):
    """The image at `path`, transformed; an InputError from either names the path."""
    image = open_image(path)
    with about(path):
        return transform(image)
