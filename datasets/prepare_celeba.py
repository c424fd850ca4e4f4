"""Check CelebA, or a dataset in its layout, and copy it to the layout of --dataset_mode celeba.

    python datasets/prepare_celeba.py --images img_align_celeba --attributes list_attr_celeba.txt --to datasets/celeba

Writes images/, list_attr_celeba.txt and list_eval_partition.txt (0 train, 1 val, 2 test): the authors' partition with
--partition, otherwise by fractions and a seed. Attributes may also be a CSV file with a header and 0/1 or -1/1.
"""

import os
import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pairs import default_processes, find_images, spread, tell
from parts import PARTS, check_fractions, divide, put, refuse_if_filled

from data.pictures import open_image
from options.parser import OptionParser
from util.errors import InputError, clear_errors
from util.files import write_text
from util.flags import Float, Int

VALUES = {"1": " 1", "-1": "-1", "0": "-1"}


def read_attributes(path):
    """(names of the attributes, {file: [" 1" or "-1" for each attribute]})."""
    lines = _lines(path, "--attributes")
    split = (lambda line: [word.strip() for word in line.split(",")]) if "," in lines[0] else str.split
    if "," in lines[0]:
        names, rows = split(lines[0])[1:], lines[1:]
    elif lines[0].strip().isdecimal() and len(lines) > 1:
        names, rows = split(lines[1]), lines[2:]
        if int(lines[0]) != len(rows):
            raise InputError(
                f"{path}: its first line gives {lines[0].strip()} images, but {len(rows)} rows follow; is it truncated?"
            )
    else:
        raise InputError(f"{path}: begins neither with the number of images nor with the header of a CSV file")
    values = {}
    for number, row in enumerate(rows, start=len(lines) - len(rows) + 1):
        file, *words = split(row)
        if len(words) != len(names):
            raise InputError(f"{path}, line {number}: {len(words)} values for {len(names)} attributes")
        strange = next((word for word in words if word not in VALUES), None)
        if strange is not None:
            raise InputError(f"{path}, line {number}: the value {strange!r}; values are 1, -1 and 0")
        if file in values:
            raise InputError(f"{path}, line {number}: {file} has a row already")
        values[file] = [VALUES[word] for word in words]
    return names, values


def read_partition(path):
    """{file: part}, from rows `file 0|1|2` or `file,0|1|2` with a header."""
    parts = {}
    for number, line in enumerate(_lines(path, "--partition"), start=1):
        words = line.replace(",", " ").split()
        if len(words) != 2 or words[1] not in ("0", "1", "2"):
            if number == 1:  # a header
                continue
            raise InputError(f"{path}, line {number}: expected a file name and 0, 1 or 2")
        parts[words[0]] = PARTS[int(words[1])]
    return parts


def _lines(path, flag):
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{flag} {path}: can't be read ({getattr(error, 'strerror', None) or 'not text'})") from None
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        raise InputError(f"{flag} {path}: is empty")
    return lines


def examine(path):
    """None, or the error of an unreadable image in one line."""
    try:
        open_image(path)
    except InputError as error:
        return str(error)
    return None


def usable(options, values):
    """{file: path} of the images that have a row and can be read; the others are listed."""
    images = find_images(options.images, "--images")
    tell(sorted(set(values) - set(images)), "rows have no image and are omitted")
    tell(sorted(set(images) - set(values)), "images have no row and are omitted")
    found = {name: images[name] for name in sorted(set(images) & set(values))}
    if not found:
        raise InputError(f"--images {options.images}: none of them has a row in {options.attributes}")
    if options.fast:
        return found
    reasons = spread(partial(examine), list(found.values()), options.processes, "reading")
    tell([reason for reason in reasons if reason], "images can't be read and are omitted")
    return {name: path for (name, path), reason in zip(found.items(), reasons) if not reason}


def prepare(options):
    fractions = check_fractions(options.train, options.val, options.test)
    refuse_if_filled(options.to)
    names, values = read_attributes(options.attributes)
    images = usable(options, values)
    if not images:
        raise InputError(f"--images {options.images}: none can be read, see above")
    parts = read_partition(options.partition) if options.partition else divide(images, fractions, options.seed)
    without = [name for name in images if name not in parts]
    tell(without, "images are not in the partition and go to train")
    parts.update(dict.fromkeys(without, "train"))
    counts = ", ".join(f"{part} {sum(parts[name] == part for name in images)}" for part in PARTS)
    print(f"{len(images)} images with {len(names)} attributes: {counts}")
    if options.dry_run:
        print(f"would {options.how} them into {options.to}")
        return
    spread(partial(_put_image, to=options.to, how=options.how), list(images.items()), 1, options.how)
    rows = [f"{name} {' '.join(values[name])}" for name in images]
    write_text(
        os.path.join(options.to, "list_attr_celeba.txt"), "\n".join([str(len(rows)), " ".join(names), *rows, ""])
    )
    rows = [f"{name} {PARTS.index(parts[name])}" for name in images]
    write_text(os.path.join(options.to, "list_eval_partition.txt"), "\n".join([*rows, ""]))
    print(f"{options.to}: done")


def _put_image(task, to, how):
    name, path = task
    put(path, os.path.join(to, "images", *name.split("/")), how)


def read_options(command_line):
    parser = OptionParser(command_line)
    parser.description = "Check CelebA, or a dataset in its layout, and copy it to the layout of --dataset_mode celeba."
    add = parser.add_argument
    needed = not parser.wants_help()
    add("--images", required=needed, metavar="DIR", help="folder of the images, img_align_celeba")
    add("--attributes", required=needed, metavar="FILE", help="list_attr_celeba.txt, or a CSV file")
    add("--to", required=needed, metavar="DIR", help="folder to create")
    add("--partition", metavar="FILE", help="list_eval_partition.txt, instead of the fractions")
    add("--train", type=Float(low=0, high=1), default=0.8, help="fraction of the images for training")
    add("--val", type=Float(low=0, high=1), default=0.1, help="fraction for validation")
    add("--test", type=Float(low=0, high=1), default=0.1, help="fraction for testing")
    add("--seed", type=Int(0), default=0, help="seed of the division")
    add("--how", default="copy", choices=("copy", "link"), help="link: hard links, which need no space")
    add("--fast", action="store_true", help="do not decode the images, only check that the files exist")
    add("--processes", type=Int(1), default=default_processes(), help="number of processes")
    add("--dry_run", action="store_true", help="print what would be done, and stop")
    return parser.parse_or_help()


def main(command_line=None):
    prepare(read_options(sys.argv[1:] if command_line is None else command_line))


if __name__ == "__main__":
    with clear_errors():
        main()
