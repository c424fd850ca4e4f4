"""BaseDataset, the contract of a data set, and get_transform, the preprocessing that ``--preprocess`` sets.

The names in this file are public: data sets written elsewhere import them from here.
"""

import os
import random
from abc import ABC, abstractmethod
from argparse import ArgumentParser, Namespace
from functools import partial
from typing import Any

from torch.utils.data import Dataset

from data import transforms
from data.transforms import BICUBIC, Compose, pil_method
from util.errors import InputError
from util.flags import sides

# The names of the stages in the original programs, which other people's data sets import.
__make_power_2 = transforms.make_power_2
__scale_width = transforms.scale_width
__scale_shortside = transforms.scale_shortside
__random_zoom = transforms.random_zoom
__crop = transforms.crop
__patch = transforms.patch
__trim = transforms.trim
__flip = transforms.flip
__print_size_warning = transforms.print_size_warning
__transforms2pil_resize = transforms.pil_method


class BaseDataset(Dataset, ABC):
    """A list of items, each a dict such as {"A": (C, H, W) in [-1, 1], "A_paths": str}.

    ``__getitem__`` may draw from random, numpy and torch: all three are seeded for each item, by (seed, epoch, index).
    ``current_epoch`` is set before an item is made, also in the data workers.

    Two members are optional. ``roots`` lists the folders that contain the image files; test.py keeps the path of an
    image below the deepest of them in the name of its result. ``files()`` lists the image files, whose headers training
    checks before it starts; scripts/check_data.py checks them in full.
    """

    roots: list[str] = []  # for data sets that don't call this __init__

    def __init__(self, opt: Namespace):
        self.opt = opt
        self.root = opt.dataroot
        self.roots = folders_of_phase(opt.dataroot, getattr(opt, "phase", ""))
        self.current_epoch = 0

    def initialize(self, opt: Namespace) -> None:
        """Does nothing. Data sets written in 2018 define initialize() instead of __init__ and may call this one."""

    def files(self) -> list[str]:
        """Paths of all image files that the data set reads; an empty list means that they are unknown."""
        return []

    @staticmethod
    def modify_commandline_options(parser: ArgumentParser, is_train: bool) -> ArgumentParser:
        """Add flags, or change defaults with parser.set_defaults; return the parser."""
        return parser

    @abstractmethod
    def __len__(self):
        """The number of items in an epoch."""

    @abstractmethod
    def __getitem__(self, index):
        """The item at an index, as a dict."""


def folders_of_phase(root: str, phase: str) -> list[str]:
    """The usual folders of images: `root`, <root>/<phase>, <root>/<phase>A and <root>/<phase>B."""
    return [root, *(os.path.join(root, phase + side) for side in ("", "A", "B"))] if phase else [root]


def get_params(opt: Namespace, size: tuple[int, int]) -> dict[str, Any]:
    """Draw the random parameters of the preprocessing for images of `size` = (width, height).

    The result always has ``crop_pos`` (x, y) and ``flip``. Pass it to get_transform for both images of a pair.
    InputError if --preprocess crops and the images, after its resizing, are smaller than a crop.
    """
    word, loaded, cropped, params = opt.preprocess, sides(opt.load_size), sides(opt.crop_size), {}
    if "resize" in word:
        size = (loaded.width, loaded.height)
    elif "scale_width" in word:
        size = transforms.width_scaled(size, loaded.width, cropped)
    elif "scale_shortside" in word:
        size = transforms.shortside_scaled(size, loaded)
    if "zoom" in word:
        params["scale_factor"] = transforms.draw_zoom()
        size = transforms.zoomed(size, params["scale_factor"], cropped)
    if "crop" in word and "fixsize" not in word:  # the size after fixsize is not known here
        transforms.need_at_least(size, cropped)
    x, y = (random.randint(0, max(0, side - crop)) for side, crop in zip(size, (cropped.width, cropped.height)))
    params |= {"crop_pos": (x, y), "flip": random.random() > 0.5}
    if "patch" in word:
        params["patch_index"] = random.randrange(2**31)
    if "patch" in word or "trim" in word:
        params["offset"] = (random.random(), random.random())
    return params


def get_transform(
    opt: Namespace,
    params: dict[str, Any] | None = None,
    grayscale: bool = False,
    method: Any = BICUBIC,
    convert: bool = True,
) -> Compose:
    """The stages that ``opt.preprocess`` names, in order, as one picklable function of a PIL image.

    Parameters that are not in `params` (see get_params) are drawn anew for every image. With `convert` the result is a
    float tensor (C, H, W) in [-1, 1], otherwise a PIL image. ``opt.round_to_4`` (if a model or data set adds it) rounds
    sizes to multiples of 4 after every --preprocess, not only after ``none``; ``opt.exact_size`` (set in a test of
    networks that accept any size) keeps the size after ``none``.
    """
    word, load_size, crop_size, method = opt.preprocess, sides(opt.load_size), sides(opt.crop_size), pil_method(method)
    given = (params or {}).get
    stages = [transforms.to_gray] if grayscale else []
    if "fixsize" in word:
        if given("size") is None:
            raise InputError(
                f"--preprocess {word}: only for data sets that pass a size to get_transform; choose another"
            )
        stages.append(partial(transforms.fix_size, size=given("size"), method=method))
    if "resize" in word:
        said = {"crop_size": crop_size, "word": word}
        stages.append(partial(transforms.squeeze, size=(load_size.width, load_size.height), method=method, **said))
    elif "scale_width" in word:
        stages.append(partial(transforms.scale_width, target_width=load_size.width, crop_size=crop_size, method=method))
    elif "scale_shortside" in word:
        stages.append(partial(transforms.scale_shortside, target_width=load_size, method=method))
    if "zoom" in word:
        zoom = partial(transforms.random_zoom, target_width=load_size, crop_width=crop_size, method=method)
        stages.append(partial(zoom, factor=given("scale_factor")))
    if "crop" in word:
        stages.append(partial(transforms.crop, pos=given("crop_pos"), size=crop_size))
    if "patch" in word:
        stages.append(partial(transforms.patch, index=given("patch_index"), size=crop_size, offset=given("offset")))
    if "trim" in word:
        stages.append(partial(transforms.trim, trim_width=crop_size, offset=given("offset")))
    exact = word == "none" and getattr(opt, "exact_size", False)
    if (word == "none" or getattr(opt, "round_to_4", False)) and not exact:
        stages.append(partial(transforms.make_power_2, base=4, method=method))
    if not opt.no_flip:
        stages.append(partial(transforms.flip, flip=given("flip")))
    if convert:
        stages.append(transforms.to_tensor)
    return Compose(stages)
