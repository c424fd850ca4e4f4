"""One image of each domain, of which items are patches at random scales: ``--dataset_mode singleimage``.

<dataroot>/trainA and <dataroot>/trainB hold one image each. A test uses the same images as a whole.
"""

import argparse

import numpy as np
from PIL import Image

from data import flags, transforms
from data.base_dataset import BaseDataset, get_transform
from data.folders import find_images
from data.pictures import naming, open_image
from util.errors import InputError
from util.numerics import seeding
from util.processes import distributed

PATCHES = 100_000  # in an epoch, as in the original


class SingleImageDataset(BaseDataset):
    """Items {A, B, A_paths, B_paths}.

    In training, --preprocess with ``zoom`` scales the width and the height of an image by two factors from
    [1 / --random_scale_max, 1]. All items of a step have the same factors, so that the negatives have the same scale.
    """

    modify_commandline_options = staticmethod(flags.singleimage)

    def __init__(self, opt):
        super().__init__(opt)
        self.paths = {side: self._find(side) for side in "AB"}
        self.images = {side: open_image(path) for side, path in self.paths.items()}
        for side, image in self.images.items():
            print(f"image {side}: {image.width}x{image.height} pixels")
        swapped = opt.direction == "BtoA"
        channels = {"A": opt.output_nc, "B": opt.input_nc} if swapped else {"A": opt.input_nc, "B": opt.output_nc}
        self.zooms = opt.isTrain and "zoom" in opt.preprocess
        word = opt.preprocess.removeprefix("zoom").removeprefix("_and_") if self.zooms else opt.preprocess
        own = argparse.Namespace(**{**vars(opt), "preprocess": word})
        method = Image.Resampling.BILINEAR
        self.transforms = {side: get_transform(own, None, channels[side] == 1, method) for side in "AB"}
        self.step_size = distributed.step_size(opt) if opt.isTrain else 1
        self.factors = np.random.uniform(1 / opt.random_scale_max, 1, (len(self), 2))  # (step, width and height)
        self._zoomed = {}  # side -> (factors, image): a cache, because the items of a step are loaded in a row

    def _find(self, side):
        folder = f"train{side}"
        paths = find_images(self.opt, folder, ["trainA", "trainB"], "one image in each")
        if len(paths) > 1:
            raise InputError(
                f"{self.root}/{folder}: {len(paths)} images, but --dataset_mode singleimage takes one; "
                "keep one image there, or give --dataset_mode unaligned"
            )
        return paths[0]

    def files(self):
        return list(self.paths.values())

    def __len__(self):
        return max(1, PATCHES // self.step_size) * self.step_size if self.opt.isTrain else 1

    def visiting_order(self, seed, epoch, shuffled):
        """The indices of an epoch; with `shuffled` the steps are shuffled, and the items of a step stay together."""
        steps = len(self) // self.step_size
        order = seeding.order(seed, epoch, steps) if shuffled else range(steps)
        return [step * self.step_size + image for step in order for image in range(self.step_size)]

    def __getitem__(self, index):
        item = {}
        for side, path in self.paths.items():
            with naming(path):
                item[side] = self.transforms[side](self._scaled(side, index))
            item[f"{side}_paths"] = path
        return item

    def _scaled(self, side, index):
        if not self.zooms:
            return self.images[side]
        factors = tuple(self.factors[index // self.step_size])
        if self._zoomed.get(side, (None, None))[0] != factors:
            size = self.opt.load_size, self.opt.crop_size
            scaled = transforms.random_zoom(self.images[side], *size, Image.Resampling.BILINEAR, factors)
            self._zoomed[side] = factors, scaled
        return self._zoomed[side][1]
