"""Pairs of images, side by side in one file, A left and B right: ``--dataset_mode aligned``.

<dataroot>/<phase>, sub-folders included.
"""

import os

from data import flags
from data.base_dataset import BaseDataset, get_params, get_transform
from data.folders import SIDE_BY_SIDE, find_images, phase_of
from data.pictures import about, open_image
from util.errors import InputError


class AlignedDataset(BaseDataset):
    """Items {A, B, A_paths, B_paths}. A is the left half whatever --direction says: models swap."""

    modify_commandline_options = staticmethod(flags.aligned)

    def __init__(self, opt):
        super().__init__(opt)
        phase = phase_of(opt)
        self.roots = [self.root, os.path.join(self.root, phase)]
        self.AB_paths = find_images(opt, phase, [phase], SIDE_BY_SIDE)
        # --input_nc belongs to the half that is translated, --output_nc to the other one.
        swapped = opt.direction == "BtoA"
        self.input_nc, self.output_nc = (opt.output_nc, opt.input_nc) if swapped else (opt.input_nc, opt.output_nc)

    def files(self):
        return self.AB_paths

    def __len__(self):
        return len(self.AB_paths)

    def __getitem__(self, index):
        path = self.AB_paths[index]
        image = open_image(path)
        with about(path):
            A, B = halves(image)
            params = get_params(self.opt, A.size)  # one crop and flip for both, or they would no longer fit
            A = get_transform(self.opt, params, grayscale=self.input_nc == 1)(A)
            B = get_transform(self.opt, params, grayscale=self.output_nc == 1)(B)
            if A.shape[1:] != B.shape[1:]:
                raise InputError(
                    f"its width of {image.width} is odd, and --preprocess {self.opt.preprocess} leaves halves of "
                    f"different size: make it even, or use resize_and_crop"
                )
        return {"A": A, "B": B, "A_paths": path, "B_paths": path}


def halves(image):
    """Left and right half; of an odd width the right one gets the column in the middle."""
    width, height = image.size
    middle = width // 2
    if middle == 0:
        raise InputError(f"{width} pixel wide, so it can't hold two images; {SIDE_BY_SIDE}")
    return image.crop((0, 0, middle, height)), image.crop((middle, 0, width, height))
