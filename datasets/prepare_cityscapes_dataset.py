"""Convert Cityscapes to the layouts of CycleGAN and pix2pix, from the two archives of its authors.

    python datasets/prepare_cityscapes_dataset.py --gtFine_dir gtFine --leftImg8bit_dir leftImg8bit \
        --output_dir datasets/cityscapes

Writes train and test (photo left, labels right: pix2pix), trainA, testA (photos), trainB, testB (labels: CycleGAN);
test is the authors' val. Register at https://www.cityscapes-dataset.com for gtFine_trainvaltest.zip and
leftImg8bit_trainvaltest.zip.
"""

import glob
import os
import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pairs import default_processes, join, save, spread, tell
from PIL import Image

from data.pictures import open_image
from options.parser import OptionParser
from util.errors import InputError, clear_errors
from util.flags import Int

LABELS, PHOTO = "_gtFine_color.png", "_leftImg8bit.png"
SPLITS = {"train": "train", "val": "test"}  # split of Cityscapes -> folder to write
FILTERS = {"bicubic": Image.Resampling.BICUBIC, "nearest": Image.Resampling.NEAREST}


def find_pairs(gtFine, leftImg8bit, split):
    """([(labels, photo)], missing photos), in the order of their names."""
    pairs, without = [], []
    for labels in sorted(glob.glob(os.path.join(glob.escape(gtFine), split, "*", f"*{LABELS}"))):
        city, name = os.path.split(os.path.relpath(labels, os.path.join(gtFine, split)))
        photo = os.path.join(leftImg8bit, split, city, name.removesuffix(LABELS) + PHOTO)
        if os.path.isfile(photo):
            pairs.append((labels, photo))
        else:
            without.append(photo)
    return pairs, without


def write_pair(task, output, size, resample):
    """`task` is (folder, number, labels, photo). Returns None, or the error in one line."""
    split, number, labels, photo = task
    try:
        A, B = (open_image(path).resize((size, size), resample) for path in (photo, labels))
        for folder, name, image in ((split, "", join(A, B)), (split + "A", "_A", A), (split + "B", "_B", B)):
            save(image, os.path.join(output, folder, f"{number}{name}.jpg"), quality=100)
    except InputError as error:
        return str(error)
    return None


def prepare(options):
    tasks = []
    for theirs, ours in SPLITS.items():
        pairs, without = find_pairs(options.gtFine_dir, options.leftImg8bit_dir, theirs)
        tell(without, f"photos of {theirs} are missing")
        if not pairs:
            raise InputError(
                f"--gtFine_dir {options.gtFine_dir}, --leftImg8bit_dir {options.leftImg8bit_dir}: no pair "
                f"{theirs}/<city>/*{LABELS} and {theirs}/<city>/*{PHOTO}; give the folders that hold train and val"
            )
        print(f"{theirs}: {len(pairs)} pairs, for {ours}, {ours}A and {ours}B")
        tasks += [(ours, number, *pair) for number, pair in enumerate(pairs)]
    if options.dry_run:
        print(f"would write {len(tasks)} pairs to {options.output_dir}")
        return
    how = {"output": options.output_dir, "size": options.size, "resample": FILTERS[options.filter]}
    failed = [reason for reason in spread(partial(write_pair, **how), tasks, options.processes, "scaling") if reason]
    tell(failed, "pairs were not written")
    print(f"{options.output_dir}: {len(tasks) - len(failed)} of {len(tasks)} pairs")
    if len(failed) == len(tasks):
        raise InputError(f"--output_dir {options.output_dir}: no pair could be written, see above")


def read_options(command_line):
    parser = OptionParser(command_line)
    parser.description = "Convert Cityscapes to the layouts of CycleGAN and pix2pix."
    add = parser.add_argument
    needed = not parser.wants_help()
    add("--gtFine_dir", required=needed, metavar="DIR", help="folder gtFine of gtFine_trainvaltest.zip")
    add("--leftImg8bit_dir", required=needed, metavar="DIR", help="folder leftImg8bit of leftImg8bit_trainvaltest.zip")
    add("--output_dir", required=needed, metavar="DIR", help="folder to create")
    add("--size", type=Int(16, 4096), default=256, help="height and width of the results")
    add("--filter", default="bicubic", choices=tuple(FILTERS), help="nearest: as Pillow before 7, for older papers")
    add("--processes", type=Int(1), default=default_processes(), help="number of processes")
    add("--dry_run", action="store_true", help="print what would be done, and stop")
    return parser.parse_or_help()


def main(command_line=None):
    prepare(read_options(sys.argv[1:] if command_line is None else command_line))


if __name__ == "__main__":
    with clear_errors():
        main()
