"""The stages of preprocessing: one small function per stage, whose first argument is a PIL image.

Stages do not read options. Random parameters of a stage can be given as arguments, so that two images share them.
"""

import random

import numpy as np
import torch
from PIL import Image
from torch.utils.data import get_worker_info

from data import notices
from util.errors import InputError
from util.flags import as_size, sides
from util.namespace import framework

BICUBIC = Image.Resampling.BICUBIC


class Compose:
    """Applies a list of stages in order. It can be pickled if the stages can."""

    def __init__(self, transforms):
        self.transforms = transforms

    def __call__(self, image):
        for transform in self.transforms:
            image = transform(image)
        return image


def method_of_side(opt, side):
    """The resampling method for side "A" or "B": nearest pixel if --label_maps names the side."""
    return Image.Resampling.NEAREST if getattr(framework(opt), "label_maps", "none") in (side, "both") else BICUBIC


def pil_method(method):
    """PIL's resampling constant for a constant, its number, or torchvision's InterpolationMode."""
    value = getattr(method, "value", method)
    if isinstance(value, str):  # torchvision's modes are words
        return Image.Resampling[value.removesuffix("-exact").upper()]
    return Image.Resampling(value)


def to_gray(image):
    return image.convert("L")


def resize(image, size, method=BICUBIC):
    """`size` is (width, height)."""
    return image if image.size == tuple(size) else image.resize(size, method)


def squeeze(image, size, method=BICUBIC, crop_size=1, word="resize"):
    """resize() with a notice if the proportions change; `word` is the value of --preprocess."""
    notices.check_proportions(image.size, size, sides(crop_size), word)
    return resize(image, size, method)


def fix_size(image, size, method=BICUBIC):
    """`size` is (height, width), or a number for the shorter side."""
    if isinstance(size, int):
        short = min(image.size)
        height, width = (int(size * side / short) for side in reversed(image.size))
    else:
        height, width = size
    return resize(image, (width, height), method)


def width_scaled(size, target_width, crop_size):
    """The size of an image after scale_width: at least as high as a crop, even if the aspect ratio changes."""
    width, height = size
    lowest = sides(crop_size).height
    if width == target_width and height >= lowest:
        return size
    return target_width, int(max(target_width * height / width, lowest))


def scale_width(image, target_width, crop_size, method=BICUBIC):
    return resize(image, width_scaled(image.size, target_width, crop_size), method)


def shortside_scaled(size, target):
    """The size of an image after scale_shortside: enlarged until `target` fits into it, never reduced."""
    target = sides(target)
    scale = max(target.width / size[0], target.height / size[1])
    if scale <= 1:
        return size
    return round(size[0] * scale), round(size[1] * scale)


def scale_shortside(image, target_width, crop_width=None, method=BICUBIC):
    return resize(image, shortside_scaled(image.size, target_width), method)


def draw_zoom():
    return random.uniform(0.8, 1.0), random.uniform(0.8, 1.0)


def zoomed(size, factor, crop_size):
    """The size of an image after random_zoom: each side times its factor, at least a crop."""
    crop = sides(crop_size)
    return round(max(crop.width, size[0] * factor[0])), round(max(crop.height, size[1] * factor[1]))


def random_zoom(image, target_width, crop_width, method=BICUBIC, factor=None):
    factor = draw_zoom() if factor is None else factor  # not `or`: a numpy array has no truth value
    return resize(image, zoomed(image.size, factor, crop_width), method)


def need_at_least(image_size, size):
    """InputError if an image of `image_size` = (width, height) is smaller than a crop of `size`."""
    width, height = image_size
    if width < sides(size).width or height < sides(size).height:
        raise InputError(
            f"an image of {width}x{height} pixels is too small for --crop_size {as_size(*sides(size))}: "
            "use a smaller --crop_size, or a --preprocess that scales first, such as resize_and_crop"
        )


def crop(image, pos=None, size=256):
    """Cut out a window at `pos` = (x, y), None: random; `size` is the side of a square or (height, width).

    As released, a given window may extend beyond the image, where it is black; an image that is in no direction larger
    than the window is returned as it is. A random window needs an image of its size.
    """
    height, width = sides(size)
    if pos is None:
        need_at_least(image.size, size)
        pos = random.randint(0, image.width - width), random.randint(0, image.height - height)
    if image.width <= width and image.height <= height:
        return image
    x, y = pos
    return image.crop((x, y, x + width, y + height))


def patch(image, index=None, size=256, offset=None):
    """Cut out a cell of a grid with cells of `size` (see crop), counted down the columns; `index` None: random.

    `offset` = two numbers in [0, 1) sets the position of the grid in the image; None: random.
    """
    need_at_least(image.size, size)
    height, width = sides(size)
    columns, rows = image.width // width, image.height // height
    index = random.randrange(columns * rows) if index is None else index % (columns * rows)
    offset = (random.random(), random.random()) if offset is None else offset
    x = int(offset[0] * (image.width % width + 1)) + index // rows * width
    y = int(offset[1] * (image.height % height + 1)) + index % rows * height
    return image.crop((x, y, x + width, y + height))


def trim(image, trim_width=256, offset=None):
    """Cut out a window; a side of the image that is shorter than the window is kept. `offset` as in patch()."""
    offset = (random.random(), random.random()) if offset is None else offset
    limit = sides(trim_width)
    width, height = min(image.width, limit.width), min(image.height, limit.height)
    x = int(offset[0] * (image.width - width + 1))
    y = int(offset[1] * (image.height - height + 1))
    return image.crop((x, y, x + width, y + height))


def make_power_2(image, base, method=BICUBIC):
    """Scale to the nearest multiple of `base` (despite the name), at least one `base`; ties go to the even multiple."""
    width, height = (max(base, round(side / base) * base) for side in image.size)
    if image.size == (width, height):
        return image
    print_size_warning(*image.size, width, height)
    return image.resize((width, height), method)


_warned = []


def print_size_warning(ow, oh, w, h):
    """Print once per run that sizes are changed, in the first data worker only."""
    worker = get_worker_info()
    if _warned or (worker and worker.id):
        return
    _warned.append(True)
    print(
        f"The sizes of images must be multiples of 4: an image of {ow}x{oh} was scaled to {w}x{h}, and all others with "
        "such sizes are scaled, too. This message appears only once."
    )


def flip(image, flip=None):
    """Mirror left to right if `flip` is True; None: with probability 0.5."""
    flip = random.random() > 0.5 if flip is None else flip
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if flip else image


def to_tensor(image):
    """PIL image -> float32 (C, H, W); 8-bit values become [-1, 1], bit for bit as with torchvision.

    Planes (data/planes.py) have values in [-1, 1] already.
    """
    if image.mode == "planes":
        return torch.stack([torch.from_numpy(np.array(band)) for band in image.bands])
    tensor = planes(image)
    scaled = tensor.div(255) if tensor.dtype == torch.uint8 else tensor.float()
    return scaled.mul_(2).sub_(1)  # bit for bit (x - 0.5) / 0.5, because doubling is exact


def planes(image):
    """The values of a PIL image (C, H, W), in its own dtype."""
    if image.mode == "RGB":  # band by band, a third faster than permuting (H, W, C)
        bands = [np.frombuffer(image.tobytes("raw", band), np.uint8) for band in "RGB"]
        return torch.from_numpy(np.concatenate(bands)).view(3, image.height, image.width)
    pixels = torch.from_numpy(np.array(image.convert("L") if image.mode == "1" else image))
    pixels = pixels.unsqueeze(-1) if pixels.ndim == 2 else pixels  # (H, W, C)
    return pixels.permute(2, 0, 1).contiguous()
