"""What happens to an image between its file and the network: one small function per stage, PIL image first.

Stages know no options. What a stage leaves to chance may be given instead, so that two images can share it.
"""

import random

import numpy as np
import torch
from PIL import Image
from torch.utils.data import get_worker_info

from data import notices
from util.errors import InputError
from util.flags import as_size, sides

BICUBIC = Image.Resampling.BICUBIC


class Compose:
    """Stages, one after the other; `transforms` is the list of them. Can be pickled, as its stages can."""

    def __init__(self, transforms):
        self.transforms = transforms

    def __call__(self, image):
        for transform in self.transforms:
            image = transform(image)
        return image


def method_of_side(opt, side):
    """How images of side "A" or "B" are resized: to the nearest pixel if --label_maps names the side."""
    return Image.Resampling.NEAREST if getattr(opt, "label_maps", "none") in (side, "both") else BICUBIC


def pil_method(method):
    """PIL's resampling constant for itself, its number, or torchvision's InterpolationMode."""
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
    """resize() to proportions that are not those of the image, which is said once; `word` is that of --preprocess."""
    notices.of_proportions(image.size, size, sides(crop_size), word)
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
    """The size an image of `size` gets by scale_width: never lower than a crop, even if that bends the picture."""
    width, height = size
    lowest = sides(crop_size).height
    if width == target_width and height >= lowest:
        return size
    return target_width, int(max(target_width * height / width, lowest))


def scale_width(image, target_width, crop_size, method=BICUBIC):
    return resize(image, width_scaled(image.size, target_width, crop_size), method)


def shortside_scaled(size, target):
    """The size an image of `size` gets by scale_shortside: enlarged to hold `target`, never made smaller."""
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
    """The size an image of `size` gets by random_zoom: each side times its factor, never below a crop."""
    crop = sides(crop_size)
    return round(max(crop.width, size[0] * factor[0])), round(max(crop.height, size[1] * factor[1]))


def random_zoom(image, target_width, crop_width, method=BICUBIC, factor=None):
    factor = draw_zoom() if factor is None else factor  # not `or`: a numpy array has no truth value
    return resize(image, zoomed(image.size, factor, crop_width), method)


def need_at_least(image, size):
    if image.width < sides(size).width or image.height < sides(size).height:
        raise InputError(
            f"an image of {image.width}x{image.height} pixels is too small for --crop_size {as_size(*sides(size))}: "
            "use a smaller one, or a --preprocess that scales first, such as resize_and_crop"
        )


def crop(image, pos=None, size=256):
    """A window at `pos` = (x, y), or anywhere inside; `size` is the side of a square or (height, width)."""
    need_at_least(image, size)
    height, width = sides(size)
    if image.size == (width, height):
        return image
    if pos is None:
        pos = random.randint(0, image.width - width), random.randint(0, image.height - height)
    x, y = pos
    return image.crop((x, y, x + width, y + height))


def patch(image, index=None, size=256, offset=None):
    """One cell of a grid of cells of `size` (see crop), counted down the columns; index None is any cell.

    `offset` = two numbers in [0, 1) says where in the image the grid lies; None is anywhere.
    """
    need_at_least(image, size)
    height, width = sides(size)
    columns, rows = image.width // width, image.height // height
    index = random.randrange(columns * rows) if index is None else index % (columns * rows)
    offset = (random.random(), random.random()) if offset is None else offset
    x = int(offset[0] * (image.width % width + 1)) + index // rows * width
    y = int(offset[1] * (image.height % height + 1)) + index % rows * height
    return image.crop((x, y, x + width, y + height))


def trim(image, trim_width=256, offset=None):
    """Like a crop, but a side that is shorter stays as it is. `offset` as in patch()."""
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
    """Say once in a run, in whichever process loads the first images, that sizes are being changed."""
    worker = get_worker_info()
    if _warned or (worker and worker.id):
        return
    _warned.append(True)
    print(
        f"The sizes of images must be multiples of 4: one of {ow}x{oh} was scaled to {w}x{h}, "
        "and so will be all others that are not. This is said only once."
    )


def flip(image, flip=None):
    """Mirrored left to right, if `flip`; None leaves it to a coin."""
    flip = random.random() > 0.5 if flip is None else flip
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if flip else image


def to_tensor(image):
    """PIL image -> float32 (C, H, W); 8-bit values land in [-1, 1], the bits as torchvision would give them.

    Planes (data/planes.py) hold values in [-1, 1] already.
    """
    if image.mode == "planes":
        return torch.stack([torch.from_numpy(np.array(band)) for band in image.bands])
    tensor = planes(image)
    scaled = tensor.div(255) if tensor.dtype == torch.uint8 else tensor.float()
    return scaled.mul_(2).sub_(1)  # the bits of (x - 0.5) / 0.5: twice a number is exact


def planes(image):
    """The values of a PIL image as it stores them, (C, H, W)."""
    if image.mode == "RGB":  # a third faster band by band than by turning (H, W, C) round
        bands = [np.frombuffer(image.tobytes("raw", band), np.uint8) for band in "RGB"]
        return torch.from_numpy(np.concatenate(bands)).view(3, image.height, image.width)
    pixels = torch.from_numpy(np.array(image.convert("L") if image.mode == "1" else image))
    pixels = pixels.unsqueeze(-1) if pixels.ndim == 2 else pixels  # (H, W, C)
    return pixels.permute(2, 0, 1).contiguous()
