"""Distance of an image to the true one, pixel by pixel. Images are 8-bit PIL images, values count in [-1, 1]."""

import math

import numpy as np
from PIL import Image

RANGE = 2.0  # from -1 to 1


def values(image):
    """PIL image, or 8-bit array (H, W, 3) -> float array (H, W, 3) in [-1, 1]."""
    image = image.convert("RGB") if isinstance(image, Image.Image) else image
    return np.asarray(image, dtype=np.float64) / 127.5 - 1


def resized(image, size):
    """The image at `size` = (width, height), by the resampling that the data sets use."""
    return image if image.size == tuple(size) else image.resize(size, Image.Resampling.BICUBIC)


def l1(answer, truth):
    """Mean absolute error of two arrays of equal shape."""
    return float(np.abs(answer - truth).mean())


def psnr(answer, truth):
    """Peak signal-to-noise ratio in dB; infinite for equal arrays."""
    mse = float(np.square(answer - truth).mean())
    return 10 * math.log10(RANGE**2 / mse) if mse else math.inf


def mean_image(images, size):
    """The mean of some PIL images at `size` = (width, height): the best constant guess, as a float array."""
    total, count = 0.0, 0
    for image in images:
        total, count = total + values(resized(image, size)), count + 1
    return total / count
