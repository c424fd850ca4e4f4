"""Make paired data from two folders: images with the same name are joined, A on the left and B on the right.

    python datasets/combine_A_and_B.py --fold_A photos/A --fold_B photos/B --fold_AB datasets/mine

photos/A/train/1.jpg and photos/B/train/1.jpg become datasets/mine/train/1.jpg, which --dataset_mode aligned reads.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pairs import by_stem, default_processes, find_images, join_all, stem, tell

from options.parser import OptionParser
from util.errors import InputError, clear_errors
from util.flags import Int


def pair_up(names_A, names_B, use_AB=False):
    """[(name in A, name in B, name to write)] in order, and the names in A and in B that have no partner.

    Equal paths are paired first, then paths that differ in the extension. The latter are written as .png, so that no
    lossy format is applied to a lossless image. With `use_AB`, 1_A.jpg and 1_B.jpg form a pair.
    """
    partners = by_stem(names_B)
    pairs, without = [], []
    for name in sorted(names_A):
        base, ending = os.path.splitext(name)
        base_B, base_AB = (base[:-2] + "_B", base[:-2]) if use_AB else (base, base)
        partner = base_B + ending if base_B + ending in names_B else partners.get(base_B)
        if partner is None:
            without.append(name)
        else:
            pairs.append((name, partner, base_AB + (ending if partner.endswith(ending) else ".png")))
    used = {partner for _, partner, _ in pairs}
    return pairs, without, sorted(set(names_B) - used)


def first_of_each(pairs, most):
    """The first `most` pairs of each folder."""
    counts, kept = {}, []
    for each in pairs:
        folder = os.path.dirname(each[0])
        counts[folder] = counts.get(folder, 0) + 1
        if counts[folder] <= most:
            kept.append(each)
    return kept


def combine(options):
    images_A, images_B = find_images(options.fold_A, "--fold_A"), find_images(options.fold_B, "--fold_B")
    if options.use_AB:  # one folder may hold both
        images_A = {name: path for name, path in images_A.items() if stem(name).endswith("_A")}
        images_B = {name: path for name, path in images_B.items() if stem(name).endswith("_B")}
    pairs, without_B, without_A = pair_up(images_A, images_B, options.use_AB)
    tell(without_B, "images of A have no partner in B")
    tell(without_A, "images of B have no partner in A")
    if not pairs:
        raise InputError(f"--fold_A {options.fold_A}, --fold_B {options.fold_B}: no image of A has its name in B")
    _refuse_clashes(pairs)
    pairs = first_of_each(pairs, options.num_imgs)
    tasks = {
        name: (images_A[name], images_B[partner], os.path.join(options.fold_AB, *target.split("/")))
        for name, partner, target in pairs
    }
    if options.dry_run:
        print(f"would join {len(tasks)} pairs into {options.fold_AB}")
        return
    joined = join_all(tasks, 1 if options.no_multiprocessing else options.processes, options.resize)
    if not joined:
        raise InputError(f"--fold_AB {options.fold_AB}: none of the {len(tasks)} pairs could be joined, see above")
    print(f"joined {joined} of {len(tasks)} pairs: {options.fold_AB}")


def _refuse_clashes(pairs):
    """InputError if two pairs have the same target, for example a.jpg and a.png in A with a.bmp in B."""
    taken = {}
    for name, _, target in pairs:
        if stem(target) in taken:
            raise InputError(f"--fold_A: {taken[stem(target)]} and {name} would both become {target}; rename one")
        taken[stem(target)] = name


def read_options(command_line):
    parser = OptionParser(command_line)
    parser.description = "Join images of the same name in two folders, A on the left, B on the right."
    add = parser.add_argument
    needed = not parser.wants_help()
    add("--fold_A", required=needed, metavar="DIR", help="images of A, in sub-folders train, val, test or as they are")
    add("--fold_B", required=needed, metavar="DIR", help="images of B, by the same names")
    add("--fold_AB", required=needed, metavar="DIR", help="folder for the joined images")
    add("--num_imgs", type=Int(1), default=1_000_000, help="maximum number of pairs per sub-folder")
    add("--use_AB", action="store_true", help="partners are called 1_A.jpg and 1_B.jpg; the result 1.jpg")
    add("--resize", action="store_true", help="scale B to A's size if they differ, instead of omitting the pair")
    add("--processes", type=Int(1), default=default_processes(), help="number of processes")
    add("--no_multiprocessing", action="store_true", help="the same as --processes 1")
    add("--dry_run", action="store_true", help="print what would be done, and stop")
    options = parser.parse_or_help()
    A, B, AB = (os.path.realpath(folder) for folder in (options.fold_A, options.fold_B, options.fold_AB))
    if AB in (A, B) or (A == B and not options.use_AB):
        raise InputError("--fold_A, --fold_B, --fold_AB: name three different folders")
    return options


def main(command_line=None):
    combine(read_options(sys.argv[1:] if command_line is None else command_line))


if __name__ == "__main__":
    with clear_errors():
        main()
