"""Small things many pages need: tensor to picture and back, picture to file, folders, words to values."""

import argparse
import os

import numpy as np
import torch
from PIL import Image

from util.errors import InputError, nearest

TRUE_WORDS = ("yes", "true", "t", "y", "1")
FALSE_WORDS = ("no", "false", "f", "n", "0")


def tensor2im(input_image, imtype=np.uint8):
    """The picture (H, W, 3) of a tensor in [-1, 1]: values 0..255, clamped, rounded to the nearest.

    Of a batch (N, C, H, W) it is the first; one channel is repeated, a missing third is black, a fourth is left out.
    A numpy picture (0..255) keeps its shape and gets the type asked for; anything else is returned as it came.
    """
    if isinstance(input_image, torch.Tensor):
        image = input_image.detach()
        image = (image[0] if image.ndim == 4 else image).float().cpu()
        image = torch.nan_to_num(image, nan=-1.0).clamp(-1, 1)
        return _as_type(_three_channels((image.permute(1, 2, 0).numpy() + 1) / 2 * 255), imtype)
    return _as_type(input_image, imtype) if isinstance(input_image, np.ndarray) else input_image


def _three_channels(image):
    channels = image.shape[2]
    if channels == 1:
        return np.repeat(image, 3, axis=2)
    return np.pad(image, ((0, 0), (0, 0), (0, max(0, 3 - channels))))[..., :3]


def _as_type(image, imtype):
    # A plain cast would truncate 254.9 to 254 and wrap 256 round to 0.
    if np.issubdtype(imtype, np.integer) and image.dtype != imtype:
        limits = np.iinfo(imtype)
        image = np.clip(np.rint(image), limits.min, limits.max)
    return image.astype(imtype, copy=False)


def save_image(image_numpy, image_path, aspect_ratio=1.0):
    """Write a picture (H, W, 3), (H, W, 1) or (H, W); the file's ending chooses the format.

    `aspect_ratio` stretches it back to the shape it had before it was squeezed to the network's: above 1 the width
    grows by that factor, below 1 the height grows by its inverse. 1 or None leaves it.
    """
    if image_numpy.ndim == 3:
        image_numpy = image_numpy[..., 0] if image_numpy.shape[2] == 1 else _three_channels(image_numpy)
    image = Image.fromarray(image_numpy)
    if aspect_ratio not in (None, 1, 0):
        width, height = image.size
        size = (round(width * max(aspect_ratio, 1)), round(height / min(aspect_ratio, 1)))
        image = image.resize(size, Image.Resampling.BICUBIC)
    image.save(image_path)


def correct_resize(t, size, mode=Image.Resampling.BICUBIC):
    """Images (N, C, H, W) in [-1, 1] resized to `size` = (width, height) with PIL's filters, which don't alias."""
    resized = [np.asarray(Image.fromarray(tensor2im(one)).resize(size, mode)) for one in t]
    images = torch.from_numpy(np.stack(resized)).permute(0, 3, 1, 2)[:, : t.shape[1]]
    return (images.float() / 255 * 2 - 1).to(t.device)


def correct_resize_label(t, size):
    """Label maps (N, 1, H, W) of 0..255 resized to `size` = (width, height) as (N, 1, h, w) int64: nearest, unmixed."""
    labels = t[:, 0].detach().cpu().numpy().astype(np.uint8)
    resized = [np.asarray(Image.fromarray(one).resize(size, Image.Resampling.NEAREST)) for one in labels]
    return torch.from_numpy(np.stack(resized)[:, None]).long().to(t.device)


def diagnose_network(net, name="network"):
    """Print the mean absolute gradient over the parameters that have one."""
    means = [parameter.grad.abs().mean().item() for parameter in net.parameters() if parameter.grad is not None]
    print(f"{name}: mean absolute gradient {np.mean(means):.6g}" if means else f"{name}: no gradients")


def print_numpy(x, val=True, shp=False):
    """Print the shape and the spread of an array, as asked."""
    x = np.asarray(x, dtype=np.float64)
    if shp:
        print("shape", x.shape)
    if val:
        spread = {"mean": x.mean(), "min": x.min(), "max": x.max(), "median": np.median(x), "std": x.std()}
        print(", ".join(f"{word} {value:.3f}" for word, value in spread.items()))


def mkdirs(paths):
    """Make one folder, or each of a list, with its parents; existing ones are fine."""
    for path in [paths] if isinstance(paths, str | os.PathLike) else paths:
        mkdir(path)


def mkdir(path):
    os.makedirs(path, exist_ok=True)


def str2bool(word):
    """The bool a flag's word means, as a ``type=`` of argparse; a bool stays one."""
    if isinstance(word, bool):
        return word
    if word.lower() in TRUE_WORDS:
        return True
    if word.lower() in FALSE_WORDS:
        return False
    raise argparse.ArgumentTypeError(f"{word!r}: give one of {', '.join(TRUE_WORDS + FALSE_WORDS)}")


def copyconf(default_opt, **kwargs):
    """A copy of the options with some of them changed."""
    return argparse.Namespace(**{**vars(default_opt), **kwargs})


def find_class_in_module(target_cls_name, module):
    """The class of that name in an imported module; case and underscores don't count."""
    wanted = target_cls_name.replace("_", "").lower()
    classes = {name: value for name, value in vars(module).items() if isinstance(value, type)}
    for name, value in classes.items():
        if name.lower() == wanted:
            return value
    raise InputError(f"{module.__name__}: no class {target_cls_name} in it.{nearest(target_cls_name, classes)}")
