"""Two folders of images without pairs, one per domain: ``--dataset_mode unaligned``.

It reads <dataroot>/<phase>A and <dataroot>/<phase>B, sub-folders included. An item is an image of A and a random image
of B.
"""

import argparse
import os
import random

from data import flags
from data.base_dataset import BaseDataset, get_transform
from data.folders import find_images, phase_of
from data.planes import Side
from data.transforms import method_of_side
from util.namespace import framework
from util.util import source_side


class UnalignedDataset(BaseDataset):
    """Items {A, B, A_paths, B_paths}. In a test of one direction, the other side's folder and keys may be missing."""

    modify_commandline_options = staticmethod(flags.unaligned)

    def __init__(self, opt):
        super().__init__(opt)
        swapped = opt.direction == "BtoA"
        self.source = source_side(opt)  # the side that is translated
        self.A_paths, self.B_paths = self._find_sides(self.source)
        self.A_size, self.B_size = len(self.A_paths), len(self.B_paths)
        # --input_nc belongs to the side that the run was trained to translate, --output_nc to the other side.
        A_nc, B_nc = (opt.output_nc, opt.input_nc) if swapped else (opt.input_nc, opt.output_nc)
        self.A, self.B = Side(opt, A_nc), Side(opt, B_nc)
        self.transform_A, self.transform_B = transforms_of_sides(opt, A_nc, B_nc)
        still = argparse.Namespace(**{**vars(opt), "load_size": opt.crop_size})
        self.still_transforms = transforms_of_sides(still, A_nc, B_nc)

    def _find_sides(self, source):
        phase = phase_of(self.opt, source)
        tree = [phase + "A", phase + "B"]
        self.roots = [self.root, *(os.path.join(self.root, folder) for folder in tree)]

        def find(side):
            missing = not os.path.isdir(os.path.join(self.root, phase + side))
            if missing and side != source and not self.opt.isTrain:
                print(f"{self.root} has no folder {phase}{side}: testing with the images of {phase}{source} alone")
                return []
            return find_images(self.opt, phase + side, tree)

        return find("A"), find("B")

    def files(self):
        return self.A_paths + self.B_paths

    def __len__(self):
        if self.opt.isTrain:
            return max(self.A_size, self.B_size)
        # A test translates each image once, even if the other side has more images.
        return self.B_size if self.source == "B" else self.A_size

    def __getitem__(self, index):
        opt = self.opt
        late = opt.isTrain and getattr(framework(opt), "finetune_crop", False) and self.current_epoch > opt.n_epochs
        transform_A, transform_B = self.still_transforms if late else (self.transform_A, self.transform_B)
        item = {}
        if self.A_paths:
            item["A_paths"] = self.A_paths[index % self.A_size]
            item["A"] = self.A.load(item["A_paths"], transform_A)
        if self.B_paths:
            # A random B, so that the pairs change; in order with --serial_batches, or if there is no A.
            in_order = opt.serial_batches or not self.A_paths
            item["B_paths"] = self.B_paths[index % self.B_size if in_order else random.randrange(self.B_size)]
            item["B"] = self.B.load(item["B_paths"], transform_B)
        return item


def transforms_of_sides(opt, A_nc, B_nc):
    """The transforms of --preprocess for images of A and of B."""
    return [
        get_transform(opt, grayscale=channels == 1, method=method_of_side(opt, side))
        for side, channels in (("A", A_nc), ("B", B_nc))
    ]
