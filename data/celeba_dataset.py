"""Images with attributes that are there or not: ``--dataset_mode celeba``.

<dataroot>/list_attr_celeba.txt (or a CSV table, or --attr_path), <dataroot>/images (or img_align_celeba, or
--celeba_image_dir). One file for training and tests: its rows are split, the same way each time.

A test takes any folder without an attribute file too: then all images below it, without labels.
"""

import os

import torch

from data import flags
from data.base_dataset import BaseDataset
from data.folders import find_images
from data.labelled import find_attribute_file, labelled_transform, read_attributes, say_sizes, split
from data.pictures import load_image
from util.errors import InputError

IMAGE_FOLDERS = ("images", "img_align_celeba/img_align_celeba", "img_align_celeba")


class CelebADataset(BaseDataset):
    """Items {A: (C, H, W), label: (attributes,) of 0.0 and 1.0, A_paths}; without labels no label."""

    modify_commandline_options = staticmethod(flags.celeba)
    reads_plain_folders = True

    def __init__(self, opt):
        super().__init__(opt)
        path = opt.attr_path or find_attribute_file(opt.dataroot)
        if path is None and opt.isTrain:
            find_images(opt, "", [], "and an attribute file")  # says so if not even the folder is there
            raise InputError(
                f"{opt.dataroot}: no attribute file in it; --dataset_mode {opt.dataset_mode} reads "
                "list_attr_celeba.txt or a CSV table with a header such as image,Male,Young; name it with --attr_path. "
                "For a folder of images per domain give --dataset_mode labelled_folders"
            )
        if path is None:
            self.labels, self.paths = None, find_images(opt, "", [])
            print(f"{opt.dataroot}: no attribute file, so these are {len(self.paths)} images without labels")
        else:
            rows, folder = self.rows(path), opt.celeba_image_dir or image_folder(opt.dataroot)
            self.labels = torch.tensor([label for _, label in rows])
            self.paths = find_listed(path, folder, rows)
            self.roots = [*self.roots, folder]
        self.transform = labelled_transform(opt, "celeba")
        say_sizes(opt, "celeba", self.paths[0])

    def rows(self, path):
        """The rows of this phase; prints how many went where."""
        rows = read_attributes(path, self.opt.selected_attrs)
        training, tests = split(rows, True), split(rows, False)
        if not training:
            raise InputError(f"{path}: {len(rows)} images can't be split into some for training and some for tests")
        print(f"{path}: {len(rows)} images, {len(training)} for training and {len(tests)} for tests")
        chosen = training if self.opt.phase == "train" else tests
        return chosen[: int(min(len(chosen), self.opt.max_dataset_size))]

    def files(self):
        return self.paths

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        path = self.paths[index]
        item = {"A": load_image(path, self.transform), "A_paths": path}
        return item if self.labels is None else {**item, "label": self.labels[index]}


def image_folder(dataroot):
    folders = [os.path.join(dataroot, name) for name in IMAGE_FOLDERS]
    return next((folder for folder in folders if os.path.isdir(folder)), dataroot)


def find_listed(attribute_file, folder, rows):
    """Paths of the images that the rows name; an InputError names the first that is not there."""
    try:
        there = set(os.listdir(folder))  # one look at the folder instead of one at each of 200,000 files
    except OSError as error:
        raise InputError(f"--celeba_image_dir {folder}: {error.strerror}") from None
    paths = [os.path.join(folder, name) for name, _ in rows]
    missing = [path for path, (name, _) in zip(paths, rows) if name not in there and not os.path.isfile(path)]
    if missing:
        raise InputError(
            f"{missing[0]}: no such image, though {attribute_file} lists it ({len(missing)} of {len(rows)} are "
            "missing); see --celeba_image_dir"
        )
    return paths
