"""Images with binary attributes: ``--dataset_mode celeba``.

It reads <dataroot>/list_attr_celeba.txt (or a CSV table, or --attr_path) and <dataroot>/images (or img_align_celeba, or
--celeba_image_dir). The rows of the file are split into training and test, always in the same way.

A test also accepts a folder without an attribute file: it reads all images below it, without labels.
"""

import os

import torch

from data import flags
from data.folders import find_images
from data.labelled import LabelledImages, find_attribute_file, labelled_transform, print_sizes, read_attributes, split
from util.errors import InputError

IMAGE_FOLDERS = ("images", "img_align_celeba/img_align_celeba", "img_align_celeba")


class CelebADataset(LabelledImages):
    """Items {A: (C, H, W), label: (attributes,) of 0.0 and 1.0, A_paths}; no label without an attribute file."""

    modify_commandline_options = staticmethod(flags.celeba)

    def __init__(self, opt):
        super().__init__(opt)
        path = opt.attr_path or find_attribute_file(opt.dataroot)
        if path is None and opt.isTrain:
            find_images(opt, "", [], "and an attribute file")  # its error is clearer if the folder does not exist
            raise InputError(
                f"{opt.dataroot}: no attribute file in it; --dataset_mode {opt.dataset_mode} reads "
                "list_attr_celeba.txt or a CSV table with a header such as image,Male,Young; give its path with "
                "--attr_path. For a folder of images per domain give --dataset_mode labelled_folders"
            )
        if path is None:
            self.labels, self.paths = None, find_images(opt, "", [])
            print(f"{opt.dataroot}: no attribute file, so its {len(self.paths)} images have no labels")
        else:
            rows, folder = self.rows(path), opt.celeba_image_dir or image_folder(opt.dataroot)
            self.labels = torch.tensor([label for _, label in rows])
            self.paths = find_listed(path, folder, rows)
            self.roots = [*self.roots, folder]
        self.transform = labelled_transform(opt, "celeba")
        print_sizes(opt, "celeba", self.paths[0])

    def rows(self, path):
        """The rows of this phase; prints the sizes of the split."""
        rows = read_attributes(path, self.opt.selected_attrs)
        training, tests = split(rows, True), split(rows, False)
        if not training:
            raise InputError(f"{path}: {len(rows)} images are too few to split them into training and test images")
        print(f"{path}: {len(rows)} images, {len(training)} for training and {len(tests)} for tests")
        chosen = training if self.opt.phase == "train" else tests
        return chosen[: int(min(len(chosen), self.opt.max_dataset_size))]


def image_folder(dataroot):
    folders = [os.path.join(dataroot, name) for name in IMAGE_FOLDERS]
    return next((folder for folder in folders if os.path.isdir(folder)), dataroot)


def find_listed(attribute_file, folder, rows):
    """Paths of the images in the rows; InputError with the first that does not exist."""
    try:
        there = set(os.listdir(folder))  # one system call instead of 200,000
    except OSError as error:
        raise InputError(f"--celeba_image_dir {folder}: {error.strerror}") from None
    paths = [os.path.join(folder, name) for name, _ in rows]
    missing = [path for path, (name, _) in zip(paths, rows) if name not in there and not os.path.isfile(path)]
    if missing:
        raise InputError(
            f"{missing[0]}: no such image, but {attribute_file} lists it ({len(missing)} of {len(rows)} are missing); "
            "give the folder of the images with --celeba_image_dir"
        )
    return paths
