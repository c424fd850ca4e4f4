"""Colorization: pix2pix from lightness to colour, in Lab (Zhang, Isola, Efros, ECCV 2016, posed as pix2pix).

A is L in [-1, 1] = L*/50 - 1, B is (a*, b*)/110. Result pages and dashboards show both as RGB.
"""

import numpy as np
import torch

from models import flags
from models.pix2pix_model import Pix2PixModel
from util.errors import InputError


class ColorizationModel(Pix2PixModel):
    captures = Pix2PixModel.captures  # see BaseModel
    scored_visuals = {"fake_B_rgb": ("real_A", "real_B_rgb")}

    modify_commandline_options = staticmethod(flags.colorization)

    def __init__(self, opt):
        super().__init__(opt)
        if (opt.input_nc, opt.output_nc) != (1, 2):
            raise InputError(
                f"--input_nc {opt.input_nc} --output_nc {opt.output_nc}: colorization goes from 1 channel (L) to 2 (ab)"
            )
        self.visual_names = ["real_A", "real_B_rgb", "fake_B_rgb"]

    def compute_visuals(self):
        self.real_B_rgb = self.lab2rgb(self.real_A, self.real_B)
        self.fake_B_rgb = self.lab2rgb(self.real_A, self.fake_B)

    def lab2rgb(self, L, AB):
        """The image to show: (N, 3, H, W) RGB in [-1, 1]; an override may return (H, W, 3) in 0 to 255."""
        return lab_to_rgb(L, AB)


def lab_to_rgb(L, ab):
    """(N, 1, H, W) in [-1, 1] and (N, 2, H, W) in units of 110 -> (N, 3, H, W) RGB in [-1, 1]."""
    from skimage import color

    lab = torch.cat(((L.detach() + 1) * 50, ab.detach() * 110), dim=1).float().cpu().numpy()  # (N, 3, H, W)
    rgb = color.lab2rgb(lab.transpose(0, 2, 3, 1)).astype(np.float32)  # (N, H, W, 3) in [0, 1]
    return torch.from_numpy(rgb.transpose(0, 3, 1, 2) * 2 - 1)
