"""Options and images for the tests of data/."""

import argparse
import math

import numpy as np
import torch
from PIL import Image

DEFAULTS = {
    "phase": "train",
    "isTrain": True,
    "dataset_mode": "unaligned",
    "direction": "AtoB",
    "input_nc": 3,
    "output_nc": 3,
    "preprocess": "resize_and_crop",
    "load_size": 20,
    "crop_size": 16,
    "no_flip": False,
    "max_dataset_size": math.inf,
    "serial_batches": False,
    "batch_size": 1,
    "num_threads": 0,
    "drop_last": False,
    "seed": 1,
    "device": torch.device("cpu"),
    "n_epochs": 2,
    "finetune_crop": False,
}


def make_opt(dataroot, **fields):
    return argparse.Namespace(**{**DEFAULTS, "dataroot": str(dataroot), **fields})


def picture(width=24, height=24, k=0):
    """An image with a different colour at every place; k makes it another one."""
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    channels = (3 * x + 5 * y + k, (x * y) // 7 + 11 * k, np.abs((4 * x + 2 * y + 9 * k) % 510 - 255))
    return Image.fromarray((np.stack(channels, axis=-1) % 256).astype(np.uint8))


def save(path, image=None, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    (image or picture()).save(path, **options)
    return str(path)


def save_tree(root, **counts):
    """save_tree(root, trainA=3): three different images in root/trainA, named 0.png, 1.png, 2.png."""
    for folder, count in counts.items():
        for number in range(count):
            save(root / folder / f"{number}.png", picture(k=number + 100 * ("B" in folder)))
    return root
