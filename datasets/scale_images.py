"""Resize training images once instead of in every epoch: the model receives the same pixels for a fifth of the work.

    python datasets/scale_images.py --images photos/trainA --to scaled/trainA
    python datasets/scale_images.py --images pairs/train --to scaled/train --side_by_side

The result of the resizing in --preprocess resize_and_crop is written as .ppm, which needs no decoding: 245 KB per image
for --load_size 286. Train with the same --load_size. For colour images (--input_nc 3, --output_nc 3), and for training
only: tests scale to another size.
"""

import math
import os
import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pairs import default_processes, find_images, join, save, spread, stem, tell
from PIL import Image

from data.pictures import open_image
from options.parser import OptionParser
from util.errors import InputError, clear_errors
from util.flags import Int, sides, size

BICUBIC = Image.Resampling.BICUBIC  # as in data/transforms.py, which is not imported here because it imports torch


def scale(task, load_size, side_by_side):
    """`task` is (file, file to write). Returns None, or the error in one line."""
    (path, target), (height, width) = task, sides(load_size)
    try:
        image = open_image(path)
        middle = image.width // 2 if side_by_side else 0
        parts = [image.crop((middle, 0, *image.size))]
        if side_by_side:
            if middle == 0:
                raise InputError(f"{path}: {image.width} pixel wide, so it can't hold two images")
            parts.insert(0, image.crop((0, 0, middle, image.height)))
        parts = [part if part.size == (width, height) else part.resize((width, height), BICUBIC) for part in parts]
        save(join(*parts) if side_by_side else parts[0], target)
    except InputError as error:
        return str(error)
    return None


def targets_of(names):
    """{name: name to write, with the extension .ppm}; InputError for names such as a.jpg and a.png, which collide."""
    taken = {}
    for name in names:
        other = taken.setdefault(f"{stem(name)}.ppm", name)
        if other != name:
            raise InputError(f"--images: {other} and {name} would both become {stem(name)}.ppm; rename one")
    return {name: target for target, name in taken.items()}


def scale_all(options):
    images = find_images(options.images, "--images")
    tasks = [(images[name], os.path.join(options.to, *new.split("/"))) for name, new in targets_of(images).items()]
    total = math.prod(sides(options.load_size)) * 3 * (1 + options.side_by_side) * len(tasks)
    if options.dry_run:
        print(f"would write {len(tasks)} images, {total:,} bytes, to {options.to}")
        return
    work = partial(scale, load_size=options.load_size, side_by_side=options.side_by_side)
    failed = [reason for reason in spread(work, tasks, options.processes, "scaling") if reason]
    tell(failed, "not scaled")
    if len(failed) == len(tasks):
        raise InputError(f"--images {options.images}: none of the {len(tasks)} images could be scaled, see above")
    print(f"{options.to}: {len(tasks) - len(failed)} images for --load_size {options.load_size}")


def read_options(command_line):
    parser = OptionParser(command_line)
    parser.description = "Scale training images once, instead of in every epoch."
    add, needed = parser.add_argument, not parser.wants_help()
    add("--images", required=needed, metavar="DIR", help="a folder of training images, such as trainA")
    add("--to", required=needed, metavar="DIR", help="folder for the scaled images, with the same sub-folders")
    add("--load_size", type=size, default=286, help="--load_size of the training that will read them")
    add("--side_by_side", action="store_true", help="each image holds A and B side by side (--dataset_mode aligned)")
    add("--processes", type=Int(1), default=default_processes(), help="number of processes")
    add("--dry_run", action="store_true", help="print what would be done, and stop")
    options = parser.parse_or_help()
    if not parser.wants_help() and os.path.realpath(options.images) == os.path.realpath(options.to):
        raise InputError("--images, --to: name two different folders")
    return options


def main(command_line=None):
    scale_all(read_options(sys.argv[1:] if command_line is None else command_line))


if __name__ == "__main__":
    with clear_errors():
        main()
