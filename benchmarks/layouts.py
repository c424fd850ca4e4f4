"""The same images in the folder layouts of all models, scaled to one size, for quality.py."""

import shutil
from pathlib import Path

import harness  # noqa: F401  puts the project on the path

from data.image_folder import make_dataset
from data.pictures import open_image
from datasets import make_shapes
from datasets.pairs import save
from datasets.scale_images import scale
from util.errors import InputError


def draw(folder, size, train, test):
    """Drawn shapes in all layouts; returns layout -> folder."""
    layouts = {layout: folder / layout for layout in ("unpaired", "paired")}
    for layout, target in layouts.items():
        make_shapes.make(target, layout, size, train, test)
    return {**layouts, "domains": as_domains(layouts["unpaired"], folder / "domains")}


def scaled(dataroot, folder, size, train=None, test=None):
    """The images of a data set scaled to size x size in all layouts; returns layout -> folder.

    unpaired   trainA, trainB, testA, testB
    paired     train, test: only if `dataroot` has these folders instead
    domains    train/A, train/B

    Of pairs for training, the first half gives trainA and the second half trainB, so that no scene is in both. A test
    image of A has the name of its partner in B. `train` and `test` limit the images (None: all).
    """
    dataroot, unpaired, paired = Path(dataroot), folder / "unpaired", folder / "paired"
    with_pairs = (dataroot / "train").is_dir()
    for phase, most in (("train", train), ("test", test)):
        if with_pairs:
            joined = scale_folder(dataroot / phase, paired / phase, size, most, side_by_side=True)
            separate(joined, unpaired, phase, size)
        else:
            for side in "AB":
                scale_folder(dataroot / f"{phase}{side}", unpaired / f"{phase}{side}", size, most)
    layouts = {"unpaired": unpaired, "domains": as_domains(unpaired, folder / "domains")}
    return {**layouts, "paired": paired} if with_pairs else layouts


def scale_folder(source, target, size, most, side_by_side=False):
    """Write the first `most` images of a folder in one size; returns their files."""
    paths = make_dataset(str(source))[:most] if source.is_dir() else []
    if not paths:
        raise InputError(f"--dataroot: no images in {source}; it needs train and test, or trainA, trainB, testA, testB")
    written = [target / f"{Path(path).stem}.png" for path in paths]
    for task in zip(paths, written):
        reason = scale(task, size, side_by_side)
        if reason:
            raise InputError(reason)
    return written


def separate(joined, unpaired, phase, size):
    """Write the left sides of pairs as A and the right sides as B; for training, each side of another half."""
    middle = len(joined) // 2
    parts = {"A": joined[:middle], "B": joined[middle:]} if phase == "train" else {"A": joined, "B": joined}
    for (side, paths), left in zip(parts.items(), (0, size)):
        for path in paths:
            save(open_image(path).crop((left, 0, left + size, size)), unpaired / f"{phase}{side}" / path.name)


def as_domains(unpaired, folder):
    """The training images of both sides as a folder for each domain."""
    for side in "AB":
        shutil.copytree(unpaired / f"train{side}", folder / "train" / side)
    return folder
