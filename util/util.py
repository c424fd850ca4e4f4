"""Small helpers under the address of the original programs: tensors and images, image files, folders, options."""

import argparse
import os
from collections.abc import Iterable
from types import ModuleType
from typing import Any

import numpy as np
import torch
from PIL import Image

from util.errors import InputError, nearest
from util.flags import yes_no

str2bool = yes_no


def tensor2im(input_image: Any, imtype: Any = np.uint8) -> Any:
    """Convert a tensor in [-1, 1] to an image (H, W, 3) with values 0..255, clamped and rounded to the nearest.

    Of a batch (N, C, H, W) the first image is taken. One channel is repeated, a missing third channel becomes black,
    a fourth is dropped. A numpy array (0..255) is only converted to `imtype`; any other object is returned unchanged.
    """
    if isinstance(input_image, torch.Tensor):
        image = input_image.detach()
        return _image_of(image[0] if image.ndim == 4 else image, imtype)
    return _as_type(input_image, imtype) if isinstance(input_image, np.ndarray) else input_image


ROWS = 1024  # that are converted at once, so that a large image is not held several times as floating point


def _image_of(image, imtype):
    parts = image.split(ROWS, dim=1)
    made = np.empty((*image.shape[1:], 3), imtype)
    for number, part in enumerate(parts):
        part = torch.nan_to_num(part.float().cpu(), nan=-1.0).clamp(-1, 1)
        values = _three_channels((part.permute(1, 2, 0).numpy() + 1) / 2 * 255)
        made[ROWS * number : ROWS * (number + 1)] = _as_type(values, imtype)
    return made


def _three_channels(image):
    channels = image.shape[2]
    if channels == 1:
        return np.repeat(image, 3, axis=2)
    return image[..., :3] if channels >= 3 else np.pad(image, ((0, 0), (0, 0), (0, 3 - channels)))


def _as_type(image, imtype):
    # A plain cast would truncate 254.9 to 254 and wrap 256 to 0.
    if np.issubdtype(imtype, np.integer) and image.dtype != imtype:
        limits = np.iinfo(imtype)
        image = np.clip(np.rint(image), limits.min, limits.max)
    return image.astype(imtype, copy=False)


def save_image(
    image_numpy: np.ndarray, image_path: str | os.PathLike, aspect_ratio: float | None = 1.0, **notes: Any
) -> None:
    """Write an image (H, W, 3), (H, W, 1) or (H, W); the file's extension selects the format.

    `notes` are what PIL writes beside the pixels, such as icc_profile and exif.

    `aspect_ratio` undoes an earlier resize to a square: above 1 the width is multiplied by it, below 1 the height is
    divided by it. 1 and None change nothing.
    """
    if image_numpy.ndim == 3:
        image_numpy = image_numpy[..., 0] if image_numpy.shape[2] == 1 else _three_channels(image_numpy)
    image = Image.fromarray(image_numpy)
    if aspect_ratio not in (None, 1, 0):
        width, height = image.size
        size = (round(width * max(aspect_ratio, 1)), round(height / min(aspect_ratio, 1)))
        image = image.resize(size, Image.Resampling.BICUBIC)
    image.save(image_path, **notes)


def correct_resize(t: torch.Tensor, size: tuple[int, int], mode: Any = Image.Resampling.BICUBIC) -> torch.Tensor:
    """Resize images (N, C, H, W) in [-1, 1] to `size` = (width, height) with PIL's filters, which do not alias."""
    resized = [np.asarray(Image.fromarray(tensor2im(image)).resize(size, mode)) for image in t]
    images = torch.from_numpy(np.stack(resized)).permute(0, 3, 1, 2)[:, : t.shape[1]]
    return (images.float() / 255 * 2 - 1).to(t.device)


def correct_resize_label(t: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Resize label maps (N, 1, H, W) of 0..255 to `size` = (width, height) by nearest neighbour, as int64."""
    labels = t[:, 0].detach().cpu().numpy().astype(np.uint8)
    resized = [np.asarray(Image.fromarray(label).resize(size, Image.Resampling.NEAREST)) for label in labels]
    return torch.from_numpy(np.stack(resized)[:, None]).long().to(t.device)


def diagnose_network(net: torch.nn.Module, name: str = "network") -> None:
    """Print the mean absolute gradient over the parameters that have a gradient."""
    means = [parameter.grad.abs().mean().item() for parameter in net.parameters() if parameter.grad is not None]
    print(f"{name}: mean absolute gradient {np.mean(means):.6g}" if means else f"{name}: no gradients")


def print_numpy(x: Any, val: bool = True, shp: bool = False) -> None:
    """Print the shape (`shp`) and statistics (`val`) of an array."""
    x = np.asarray(x, dtype=np.float64)
    if shp:
        print("shape", x.shape)
    if val:
        spread = {"mean": x.mean(), "min": x.min(), "max": x.max(), "median": np.median(x), "std": x.std()}
        print(", ".join(f"{word} {value:.3f}" for word, value in spread.items()))


def source_side(opt: argparse.Namespace) -> str:
    """The side, "A" or "B", whose images are translated: by --direction, or in a test by its own direction."""
    return "B" if (getattr(opt, "test_direction", None) or opt.direction) == "BtoA" else "A"


def mkdirs(paths: str | os.PathLike | Iterable[str | os.PathLike]) -> None:
    """Create one folder, or each folder of a list, with parents; existing folders are accepted."""
    for path in [paths] if isinstance(paths, str | os.PathLike) else paths:
        mkdir(path)


def mkdir(path: str | os.PathLike) -> None:
    os.makedirs(path, exist_ok=True)


def copyconf(default_opt: argparse.Namespace, **kwargs: Any) -> argparse.Namespace:
    """Copy the options and change those given as keywords."""
    return argparse.Namespace(**{**vars(default_opt), **kwargs})


def find_class_in_module(target_cls_name: str, module: ModuleType) -> type:
    """Find a class by name in an imported module, ignoring case and underscores."""
    wanted = target_cls_name.replace("_", "").lower()
    classes = {name: value for name, value in vars(module).items() if isinstance(value, type)}
    for name, value in classes.items():
        if name.lower() == wanted:
            return value
    raise InputError(f"{module.__name__}: no class {target_cls_name} in it.{nearest(target_cls_name, classes)}")
