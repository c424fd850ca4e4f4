"""Colour photos as lightness (A) and colour (B) in CIE Lab space: ``--dataset_mode colorization``.

It reads <dataroot>/<phase>, sub-folders included, and needs scikit-image.
"""

import os

import numpy as np
import torch

from data import flags
from data.base_dataset import BaseDataset, get_transform
from data.folders import find_images, phase_of
from data.pictures import load_image
from util.errors import InputError


class ColorizationDataset(BaseDataset):
    """Items {A: (1, H, W), B: (2, H, W), A_paths, B_paths}, with A = L / 50 - 1 and B = ab / 110."""

    modify_commandline_options = staticmethod(flags.colorization)

    def __init__(self, opt):
        super().__init__(opt)
        if (opt.input_nc, opt.output_nc, opt.direction) != (1, 2, "AtoB"):
            raise InputError(
                "--dataset_mode colorization: A is lightness (1 channel), B is colour (2 channels); leave out "
                f"--input_nc {opt.input_nc}, --output_nc {opt.output_nc}, --direction {opt.direction}, "
                "or give 1, 2 and AtoB"
            )
        if getattr(opt, "data_range", None):
            raise InputError("--data_range: --dataset_mode colorization reads 8-bit images; leave the flag out")
        rgb_to_lab()
        phase = phase_of(opt)
        self.roots = [self.root, os.path.join(self.root, phase)]
        self.AB_paths = find_images(opt, phase, [phase], "colour images")
        self.transform = get_transform(opt, convert=False)

    def files(self):
        return self.AB_paths

    def __len__(self):
        return len(self.AB_paths)

    def __getitem__(self, index):
        path = self.AB_paths[index]
        image = load_image(path, self.transform)
        lab = rgb_to_lab()(np.asarray(image)).astype(np.float32)  # (H, W, 3): L in [0, 100], a and b within +-110
        lab = torch.from_numpy(lab).permute(2, 0, 1)  # (3, H, W)
        return {"A": lab[:1] / 50 - 1, "B": lab[1:] / 110, "A_paths": path, "B_paths": path}


def rgb_to_lab():
    """The function rgb2lab of scikit-image."""
    try:
        from skimage.color import rgb2lab
    except ImportError as error:
        raise InputError(
            f"--dataset_mode colorization needs scikit-image ({error}): python -m pip install scikit-image"
        ) from error
    return rgb2lab
