"""What data sets of labelled images share: the file with the labels, and the central crop and its sizes.

Attributes of images are in CelebA's list_attr_celeba.txt, or in a CSV table with a header:

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
from data.flags import USUAL_CROP
from data.pictures import open_image
from util.errors import InputError, nearest

BILINEAR = Image.Resampling.BILINEAR
USUAL_NAMES = ("list_attr_celeba.txt", "list_attr_celeba.csv", "attributes.txt", "attributes.csv")
VALUES = {"1": 1.0, "1.0": 1.0, "0": 0.0, "0.0": 0.0, "-1": 0.0, "-1.0": 0.0}
RELEASED_TEST = 1999  # rows


def find_attribute_file(folder):
    """The attribute file of a data set: one of the usual names, or the only CSV file; None if there is none."""
    for name in USUAL_NAMES:
        if os.path.isfile(os.path.join(folder, name)):
            return os.path.join(folder, name)
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    tables = [name for name in names if name.lower().endswith(".csv")]
    return os.path.join(folder, tables[0]) if len(tables) == 1 else None


def read_attributes(path, selected):
    """Rows (image's name, [1.0 if it has it, for each of the `selected` attributes]), in the order of the file."""
    names, lines = _names_and_lines(path)
    columns = [_column(path, names, attribute) for attribute in selected]
    rows = [_row(path, number, cells, names, columns) for number, cells in lines if cells]
    if not rows:
        raise InputError(f"{path}: there are attributes in it, but no images")
    return rows


def split(rows, training):
    """The rows for training, or those for tests: shuffled alike, cut as released if there are enough of them.

    The original took 1999 rows for tests; where that would be more than half of them, it is a tenth.
    """
    shuffled = list(rows)
    random.Random(1234).shuffle(shuffled)  # the original's order, without touching anybody's random numbers
    tests = RELEASED_TEST if len(rows) >= 2 * RELEASED_TEST else max(1, len(rows) // 10)
    return shuffled[tests:] if training else shuffled[:tests]


def _names_and_lines(path):
    """The attributes' names and an iterable of (line number, [image's name, values])."""
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
            f"{path}: starts neither with the number of images, as CelebA's list does, nor with a CSV header "
            "such as image,Male,Young"
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
    """The central square of `size` pixels, black beyond the image; without a size at most `usual`, never beyond it."""
    side = size or min(usual, *image.size)
    left, top = (_start(length, side) for length in image.size)
    return image.crop((left, top, left + side, top + side))


def _start(length, side):
    # As torchvision's CenterCrop: what is too short gets the odd black line at its end.
    return round((length - side) / 2) if length >= side else -((side - length) // 2)


def labelled_transform(opt, kind):
    """Image -> (C, image_size, image_size) in [-1, 1]: mirrored at random, cropped, scaled, in the released order."""
    stages = [transforms.to_gray] if opt.input_nc == 1 else []
    if opt.isTrain and not opt.no_flip:
        stages.append(transforms.flip)
    crop = partial(centre_crop, size=getattr(opt, f"{kind}_crop_size"), usual=USUAL_CROP[kind])
    resize = partial(transforms.resize, size=(opt.image_size, opt.image_size), method=BILINEAR)
    return transforms.Compose([*stages, crop, resize, transforms.to_tensor])


def say_sizes(opt, kind, path):
    """Print what becomes of the images, told for the first of them."""
    width, height = open_image(path).size
    asked = getattr(opt, f"{kind}_crop_size")
    side = asked or min(USUAL_CROP[kind], width, height)
    black = ", black beyond the image" if side > min(width, height) else ""
    print(
        f"images of {width}x{height}: the central {side}x{side}{black} (--{kind}_crop_size), "
        f"scaled to {opt.image_size}x{opt.image_size} (--image_size)"
    )
