"""Pixel-wise distance between two images. Images are 8-bit PIL images; values are scaled to [-1, 1]."""

import math
from collections.abc import Iterable

import numpy as np
from PIL import Image

RANGE = 2.0  # from -1 to 1


def values(image: Image.Image | np.ndarray) -> np.ndarray:
    """Convert a PIL image, or an 8-bit array (H, W, 3), to a float array (H, W, 3) in [-1, 1]."""
    image = image.convert("RGB") if isinstance(image, Image.Image) else image
    return np.asarray(image, dtype=np.float64) / 127.5 - 1


def resized(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Resize to `size` = (width, height) with the filter that the datasets use."""
    return image if image.size == tuple(size) else image.resize(size, Image.Resampling.BICUBIC)


def l1(answer: np.ndarray, truth: np.ndarray) -> float:
    """Mean absolute error of two arrays of equal shape."""
    return float(np.abs(answer - truth).mean())


def psnr(answer: np.ndarray, truth: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB; infinite for equal arrays."""
    mse = float(np.square(answer - truth).mean())
    return 10 * math.log10(RANGE**2 / mse) if mse else math.inf


def mean_image(images: Iterable[Image.Image], size: tuple[int, int]) -> np.ndarray:
    """The mean of PIL images resized to `size` = (width, height), as a float array: the best constant prediction."""
    total, count = np.zeros((size[1], size[0], 3)), 0
    for image in images:
        total, count = total + values(resized(image, size)), count + 1
    return total / count
