"""Shared by the data sets of labelled images: their items, reading the attribute file, the central crop and its sizes.

The attributes are in CelebA's list_attr_celeba.txt, or in a CSV table with a header:

1200                                            image,Male,Young
5_o_Clock_Shadow Arched_Eyebrows ...            000001.jpg,0,1
000001.jpg -1  1 ...
"""

import csv
import os
import random
from functools import partial

from PIL import Image

from data import transforms
from data.base_dataset import BaseDataset
from data.flags import USUAL_CROP
from data.pictures import load_image, open_image
from util.errors import InputError, nearest

BILINEAR = Image.Resampling.BILINEAR
USUAL_NAMES = ("list_attr_celeba.txt", "list_attr_celeba.csv", "attributes.txt", "attributes.csv")
VALUES = {"1": 1.0, "1.0": 1.0, "0": 0.0, "0.0": 0.0, "-1": 0.0, "-1.0": 0.0}
RELEASED_TEST = 1999  # rows


class LabelledImages(BaseDataset):
    """Items {A: (C, H, W), label, A_paths} of the files `paths`; no label if `labels` is None.

    A subclass sets these two and `transform` in its __init__.
    """

    reads_plain_folders = True

    def files(self):
        return self.paths

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        path = self.paths[index]
        item = {"A": load_image(path, self.transform), "A_paths": path}
        return item if self.labels is None else {**item, "label": self.labels[index]}


def find_attribute_file(folder):
    """The attribute file in a folder: a file with one of USUAL_NAMES, or the only CSV file; None if there is none."""
    for name in USUAL_NAMES:
        if os.path.isfile(os.path.join(folder, name)):
            return os.path.join(folder, name)
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    tables = [name for name in names if name.lower().endswith(".csv")]
    return os.path.join(folder, tables[0]) if len(tables) == 1 else None


def read_attributes(path, selected):
    """[(name of the image, [1.0 or 0.0 for each of the `selected` attributes])], in the order of the file."""
    names, lines = _names_and_lines(path)
    columns = [_column(path, names, attribute) for attribute in selected]
    rows = [_row(path, number, cells, names, columns) for number, cells in lines if cells]
    if not rows:
        raise InputError(f"{path}: it lists attributes, but no images")
    return rows


def split(rows, training):
    """The rows for training or for tests: disjoint parts of the rows in the original's shuffled order.

    The original takes 1999 rows for tests; if this is more than half of the rows, a tenth is taken.
    """
    shuffled = list(rows)
    random.Random(1234).shuffle(shuffled)
    tests = RELEASED_TEST if len(rows) >= 2 * RELEASED_TEST else max(1, len(rows) // 10)
    return shuffled[tests:] if training else shuffled[:tests]


def _names_and_lines(path):
    """(names of the attributes, iterable of (line number, [name of the image, values]))."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            lines = file.read().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: can't be read ({error}); give the attribute file with --attr_path") from None
    if lines and "," in lines[0]:
        header, *body = ([cell.strip() for cell in cells] for cells in csv.reader(lines))
        return header[1:], enumerate(body, 2)
    if len(lines) < 2 or not lines[0].strip().isdigit():
        raise InputError(
            f"{path}: it must begin with the number of images, as CelebA's list_attr_celeba.txt does, or with a CSV "
            "header such as image,Male,Young"
        )
    return lines[1].split(), enumerate(map(str.split, lines[2:]), 3)


def _column(path, names, attribute):
    if attribute in names:
        return names.index(attribute)
    hint = nearest(attribute, names) or f" it has {', '.join(names[:8])}{', ...' if len(names) > 8 else ''}"
    raise InputError(f"--selected_attrs {attribute}: {path} has no such attribute;{hint}")


def _row(path, number, cells, names, columns):
    if len(cells) != len(names) + 1:
        raise InputError(f"{path}, line {number}: {len(cells) - 1} values for {len(names)} attributes")
    try:
        return cells[0], [VALUES[cells[column + 1]] for column in columns]
    except KeyError:
        wrong = next(column for column in columns if cells[column + 1] not in VALUES)
        raise InputError(
            f"{path}, line {number}: {names[wrong]} of {cells[0]} is '{cells[wrong + 1]}', must be 1, 0 or -1"
        ) from None


def centre_crop(image, size=None, usual=256):
    """The central square of `size` pixels, black outside the image; without a size, at most `usual` and inside it."""
    side = size or min(usual, *image.size)
    left, top = (_start(length, side) for length in image.size)
    return image.crop((left, top, left + side, top + side))


def _start(length, side):
    # As torchvision's CenterCrop: of an odd number of black lines, the larger half is at the end.
    return round((length - side) / 2) if length >= side else -((side - length) // 2)


def labelled_transform(opt, kind):
    """Image -> (C, image_size, image_size) in [-1, 1]: flipped at random, cropped, resized, in the original's order."""
    stages = [transforms.to_gray] if opt.input_nc == 1 else []
    if opt.isTrain and not opt.no_flip:
        stages.append(transforms.flip)
    crop = partial(centre_crop, size=getattr(opt, f"{kind}_crop_size"), usual=USUAL_CROP[kind])
    resize = partial(transforms.resize, size=(opt.image_size, opt.image_size), method=BILINEAR)
    return transforms.Compose([*stages, crop, resize, transforms.to_tensor])


def print_sizes(opt, kind, path):
    """Print the sizes of the crop and of the result, for the image at `path`."""
    width, height = open_image(path).size
    asked = getattr(opt, f"{kind}_crop_size")
    side = asked or min(USUAL_CROP[kind], width, height)
    black = " with black borders" if side > min(width, height) else ""
    print(
        f"images of {width}x{height}: the central {side}x{side}{black} (--{kind}_crop_size), "
        f"scaled to {opt.image_size}x{opt.image_size} (--image_size)"
    )
