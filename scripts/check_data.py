"""Decode every image of a dataset as the training does, and list problems.

    python scripts/check_data.py --dataroot datasets/horse2zebra --dataset_mode unaligned

Accepts the data flags of train.py (--phase, --crop_size, --max_dataset_size, ...). Exit codes: 0 no problems,
1 problems found, 2 a wrong flag or folder layout; the error states the correction.
"""

import contextlib
import hashlib
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from PIL import Image

from data import find_dataset_using_name
from data.loading.headers import files_of
from data.pictures import open_image, read
from data.planes import has_8_bits
from options.train_options import TrainOptions
from util.errors import InputError, clear_errors
from util.flags import SWITCH, sides
from util.show.bar import Bar

PROBLEMS = {
    "unreadable": "cannot be read; the training stops there (or uses the next image, with --skip_bad_images)",
    "oversized": "too large: decoding is slow or refused; scale them down",
    "too_small": "smaller than a crop, so they are enlarged and blurred",
    "constant": "of one colour: their variance is zero, which breaks normalisation",
    "duplicate": "with the same pixels as another image",
}


class Options(TrainOptions):
    """The flags of train.py, without options of a run."""

    def initialize(self, parser):
        parser = super().initialize(parser)
        parser.add_argument("--json", **SWITCH, default=False, help="print the findings as JSON")
        return parser

    def finish(self, opt, given):
        opt.name = "check_data"  # so that no options are read from the folder of a run
        opt.continue_train = False
        super().finish(opt, given)


class Decoded(NamedTuple):
    """The result of decoding a file: size and digest of the pixels (None after an error), and [(problem, text)]."""

    path: str
    size: tuple | None
    digest: str | None
    problems: list


def pixels_of(path, data_range):
    """The values of an image file: RGB (H, W, 3) if it has 8 bits, else (H, W, C) in its own type."""
    return np.asarray(open_image(path)) if has_8_bits(path) else read(path, data_range).array


def decode(path, crop_size, halves, data_range=None):
    """Decode one image. `halves`: the file holds two images side by side."""
    try:
        image = pixels_of(path, data_range)
    except InputError as error:
        text = str(error).removeprefix(f"{path}: ")
        return Decoded(path, None, None, [("oversized" if "too large" in text else "unreadable", text)])
    height, width = image.shape[:2]
    problems = []
    if halves and width < 2:
        problems.append(("unreadable", f"{width} pixel wide, so it cannot hold two images"))
    if (width // 2 if halves else width) < sides(crop_size).width or height < sides(crop_size).height:
        problems.append(("too_small", f"{width}x{height}, --crop_size is {crop_size}"))
    if width * height > Image.MAX_IMAGE_PIXELS:
        problems.append(("oversized", f"{width}x{height}"))
    if (image == image[0, 0]).all():
        problems.append(("constant", f"every pixel is {tuple(image[0, 0].tolist())}"))
    digest = hashlib.sha256(f"{image.shape}{image.dtype}".encode() + image.tobytes()).hexdigest()
    return Decoded(path, (width, height), digest, problems)


def check(opt):
    """({problem: [{"path": ..., "what": ...}]}, number of images, {(width, height): number of images})."""
    dataset = find_dataset_using_name(opt.dataset_mode)(opt)
    paths = files_of(dataset)
    if not paths:
        raise InputError(
            f"{type(dataset).__name__} does not declare its image files: give it a method files() that lists them"
        )
    halves, found, sizes, first = getattr(dataset, "side_by_side", False), {name: [] for name in PROBLEMS}, {}, {}
    crop_size = opt.crop_size if "crop" in opt.preprocess else 1
    with ThreadPoolExecutor(max(1, opt.num_threads)) as pool:
        found_images = pool.map(lambda path: decode(path, crop_size, halves, opt.data_range), paths)
        for image in Bar(len(paths), "images").over(found_images):
            for problem, what in image.problems:
                found[problem].append({"path": image.path, "what": what})
            if image.digest is None:
                continue
            sizes[image.size] = sizes.get(image.size, 0) + 1
            if image.digest in first:
                found["duplicate"].append({"path": image.path, "what": f"the same as {first[image.digest]}"})
            first.setdefault(image.digest, image.path)
    return found, len(paths), sizes


def report(found, images, sizes):
    for problem, cases in found.items():
        if cases:
            print(f"{problem}: {len(cases)} {PROBLEMS[problem]}")
            for case in cases:
                print(f"    {case['path']}: {case['what']}")
    print(f"{images} images checked, {spread(sizes)}: {sum(map(len, found.values())) or 'no'} problems")


def spread(sizes):
    if len(sizes) == 1:
        return "all of {}x{}".format(*next(iter(sizes)))
    if not sizes:
        return "of no size"
    small, large = (choose(sizes, key=lambda size: size[0] * size[1]) for choose in (min, max))
    return "of {} sizes from {}x{} to {}x{}".format(len(sizes), *small, *large)


def main(cmd_line=None):
    """Check, report, and return the exit code."""
    opt = Options(cmd_line).parse()
    with contextlib.redirect_stdout(sys.stderr) if opt.json else contextlib.nullcontext():
        found, images, sizes = check(opt)
    if opt.json:
        spelled = {f"{width}x{height}": count for (width, height), count in sizes.items()}
        print(json.dumps({"images": images, "sizes": spelled, "problems": found}, indent=1))
    else:
        report(found, images, sizes)
    return 1 if any(found.values()) else 0


if __name__ == "__main__":
    with clear_errors():
        sys.exit(main())
