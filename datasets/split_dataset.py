"""Divide images into train, val and test, by fractions and a seed, in the layout of a --dataset_mode.

    python datasets/split_dataset.py --A photos/summer --B photos/winter --to datasets/seasons     (trainA ... testB)
    python datasets/split_dataset.py --A maps/photos --B maps/labels --paired --to datasets/maps    (keeps pairs)
    python datasets/split_dataset.py --images photos/joined --to datasets/pairs                     (train, val, test)
    python datasets/split_dataset.py --domains photos/pets --to datasets/pets           (train/cat, train/dog, test/cat)

Equal seeds and names give equal parts, on every machine.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pairs import by_stem, find_images, tell
from parts import PARTS, check_fractions, divide, put, refuse_if_filled

from options.parser import OptionParser
from util.errors import InputError, clear_errors
from util.flags import Float, Int
from util.show.bar import Bar


def split_images(options, fractions):
    """[(source, path below --to)] of one folder."""
    images = find_images(options.images, "--images")
    parts = divide(images, fractions, options.seed)
    return [(path, f"{parts[name]}/{name}") for name, path in images.items()]


def split_sides(options, fractions):
    """[(source, path below --to)] of A and B; with --paired, images of one stem get into the same part."""
    images_A, images_B = find_images(options.A, "--A"), find_images(options.B, "--B")
    if not options.paired:
        parts = [divide(images, fractions, options.seed) for images in (images_A, images_B)]
        sides = zip("AB", (images_A, images_B), parts)
        return [(path, f"{part[name]}{side}/{name}") for side, images, part in sides for name, path in images.items()]
    stems_A, stems_B = by_stem(images_A), by_stem(images_B)
    both = stems_A.keys() & stems_B.keys()
    tell(sorted(set(images_A) - {stems_A[each] for each in both}), "images of A have no partner in B and are omitted")
    tell(sorted(set(images_B) - {stems_B[each] for each in both}), "images of B have no partner in A and are omitted")
    if not both:
        raise InputError(f"--A {options.A}, --B {options.B}: A and B have no names in common; leave out --paired")
    parts = divide(both, fractions, options.seed)
    sides = (("A", images_A, stems_A), ("B", images_B, stems_B))
    return [(imgs[at[each]], f"{parts[each]}{side}/{at[each]}") for side, imgs, at in sides for each in sorted(both)]


def split_domains(options, fractions):
    """[(source, path below --to)] of the sub-folders; each of them is divided by the fractions."""
    domains = {}
    for name, path in find_images(options.domains, "--domains").items():
        domain, _, rest = name.partition("/")
        if not rest:
            raise InputError(f"--domains {options.domains}: {name} is not in a sub-folder; each domain needs a folder")
        domains.setdefault(domain, {})[name] = path
    if len(domains) < 2:
        raise InputError(f"--domains {options.domains}: only the folder {next(iter(domains))}; two are needed at least")
    work = []
    for images in domains.values():
        parts = divide(images, fractions, options.seed)
        work += [(path, f"{parts[name]}/{name}") for name, path in images.items()]
    return work


def split(options):
    fractions = check_fractions(options.train, options.val, options.test)
    refuse_if_filled(options.to)
    work = (split_images if options.images else split_domains if options.domains else split_sides)(options, fractions)
    counts = {}
    for _, target in work:
        counts[os.path.dirname(target)] = counts.get(os.path.dirname(target), 0) + 1
    empty = [
        part for part, share in zip(PARTS, fractions) if share and not any(each.startswith(part) for each in counts)
    ]
    if empty:
        raise InputError(f"{len(work)} images are too few: the part {empty[0]} would be empty; give other fractions")
    for folder, count in sorted(counts.items()):
        print(f"{folder:<20}{count:>8} images")
    if options.dry_run:
        print(f"would {options.how} them into {options.to}")
        return
    for source, target in Bar(len(work), "images", options.how).over(work):
        put(source, os.path.join(options.to, *target.split("/")), options.how)
    print(f"{options.to}: {len(work)} images")


def read_options(command_line):
    parser = OptionParser(command_line)
    parser.description = "Divide images into train, val and test."
    add = parser.add_argument
    add("--A", metavar="DIR", help="images of domain A")
    add("--B", metavar="DIR", help="images of domain B")
    add("--paired", action="store_true", help="images of one name in A and B are pairs and stay together")
    add("--images", metavar="DIR", help="instead of --A and --B: one folder")
    add("--domains", metavar="DIR", help="instead of --A and --B: a folder with a sub-folder for each domain")
    add("--to", required=not parser.wants_help(), metavar="DIR", help="folder to create")
    add("--train", type=Float(low=0, high=1), default=0.8, help="fraction of the images for training")
    add("--val", type=Float(low=0, high=1), default=0.1, help="fraction for validation")
    add("--test", type=Float(low=0, high=1), default=0.1, help="fraction for testing")
    add("--seed", type=Int(0), default=0, help="seed of the division")
    add("--how", default="copy", choices=("copy", "link"), help="link: hard links, which need no space")
    add("--dry_run", action="store_true", help="print what would be done, and stop")
    options = parser.parse_or_help()
    given = [bool(options.A and options.B), bool(options.images), bool(options.domains)]
    if sum(given) != 1 or bool(options.A) != bool(options.B):
        raise InputError("--A DIR --B DIR, or --images DIR, or --domains DIR: give one of the three")
    if options.paired and not options.A:
        raise InputError("--paired: belongs to --A and --B")
    return options


def main(command_line=None):
    split(read_options(sys.argv[1:] if command_line is None else command_line))


if __name__ == "__main__":
    with clear_errors():
        main()
