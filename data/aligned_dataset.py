"""Pairs of images: ``--dataset_mode aligned``. The pairs come from one of these, sub-folders of <dataroot> included:

<phase>                  each file holds A in its left half and B in its right half
<phase>A and <phase>B    A and B are files with equal names; their endings may differ
--pairs FILE.csv         a table with paths of A and B

With --folders_A or --folders_B the channels of a side come from several files: <phase>A/depth/1.tif and
<phase>A/normal/1.tif for ``--folders_A depth normal``.
"""

import os

from data import flags
from data.base_dataset import BaseDataset, get_params, get_transform
from data.folders import SIDE_BY_SIDE, find_images, phase_of
from data.pair_lists import has_two_folders, paths_of_csv, paths_of_folders
from data.pictures import naming
from data.planes import Planes, Side
from data.transforms import method_of_side
from util.errors import InputError
from util.namespace import framework


class AlignedDataset(BaseDataset):
    """Items {A, B, A_paths, B_paths}; models swap the sides by --direction. In a test, one side may be missing."""

    modify_commandline_options = staticmethod(flags.aligned)
    side_by_side = False  # whether each file holds both images

    def __init__(self, opt):
        super().__init__(opt)
        opt = framework(opt)
        # --input_nc belongs to the side that is translated, --output_nc to the other side.
        swapped = opt.direction == "BtoA"
        A_nc, B_nc = (opt.output_nc, opt.input_nc) if swapped else (opt.input_nc, opt.output_nc)
        self.A = Side(opt, A_nc, getattr(opt, "folders_A", ()))
        self.B = Side(opt, B_nc, getattr(opt, "folders_B", ()))
        self.pairs = self._find_pairs()

    def _find_pairs(self):
        """[(path of A, path of B)]: equal paths for the two halves of a file, None for a side that is missing."""
        opt, phase = framework(self.opt), phase_of(self.opt)
        if getattr(opt, "pairs", None):
            self.roots = [self.root, os.path.dirname(os.path.abspath(opt.pairs))]
            return paths_of_csv(opt)
        if has_two_folders(opt):
            pairs, self.roots = paths_of_folders(opt, self.A.folders, self.B.folders)
            return pairs
        if self.A.folders or self.B.folders:
            raise InputError(
                f"--folders_A, --folders_B: these are sub-folders of {os.path.join(self.root, phase)}A and {phase}B, "
                "which do not exist; create both, or leave the flags out"
            )
        self.roots = [self.root, os.path.join(self.root, phase)]
        self.side_by_side = True
        return [(path, path) for path in find_images(opt, phase, [phase], SIDE_BY_SIDE)]

    def files(self):
        sides = (side.files_of(path) for pair in self.pairs for side, path in zip((self.A, self.B), pair) if path)
        return list(dict.fromkeys(path for paths in sides for path in paths))

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, index):
        path_A, path_B = self.pairs[index]
        image_A, image_B = self._open(path_A, path_B)
        if image_A is not None and image_B is not None and path_A != path_B and image_A.size != image_B.size:
            self._need_equal_sizes(path_A, image_A, path_B, image_B)
        item = {f"{side}_paths": path for side, path in (("A", path_A), ("B", path_B)) if path}
        if path_A and path_B and path_A != path_B:
            item["paired"] = True  # for two halves of one file, is_paired() compares the paths
        with naming(path_A or path_B):
            # The same crop and flip for both sides.
            params = get_params(self.opt, (image_B if image_A is None else image_A).size)
            for side, image, channels in (("A", image_A, self.A.channels), ("B", image_B, self.B.channels)):
                if image is not None:
                    method = method_of_side(self.opt, side)
                    item[side] = get_transform(self.opt, params, grayscale=channels == 1, method=method)(image)
            if "A" in item and "B" in item and item["A"].shape[1:] != item["B"].shape[1:]:
                raise InputError(
                    f"its width of {image_A.width + image_B.width} is odd, and --preprocess {self.opt.preprocess} "
                    "leaves halves of different size: make it even, or use resize_and_crop"
                )
        return item

    def _open(self, path_A, path_B):
        if path_A != path_B:
            return self.A.open(path_A) if path_A else None, self.B.open(path_B) if path_B else None
        image = self.A.open(path_A)
        with naming(path_A):
            if isinstance(image, Planes) or self.B.channels not in (1, 3):  # the sides differ in channels: open twice
                return halves(image)[0], halves(self.B.open(path_A))[1]
            return halves(image)

    def _need_equal_sizes(self, path_A, image_A, path_B, image_B):
        """Raise InputError for a pair of different sizes, unless --preprocess resizes both to one size."""
        if "resize" not in self.opt.preprocess:
            sizes = (
                f"{path} has {image.width}x{image.height}" for path, image in ((path_A, image_A), (path_B, image_B))
            )
            raise InputError(
                f"{' and '.join(sizes)} pixels: --preprocess {self.opt.preprocess} needs images of one size in a pair; "
                "use resize_and_crop, or scale them first"
            )


def halves(image):
    """The left and the right half; if the width is odd, the right half gets the middle column."""
    width, height = image.size
    middle = width // 2
    if middle == 0:
        raise InputError(f"{width} pixel wide, so it can't hold two images; {SIDE_BY_SIDE}")
    return image.crop((0, 0, middle, height)), image.crop((middle, 0, width, height))
