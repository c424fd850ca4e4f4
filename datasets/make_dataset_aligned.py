"""Make paired data inside one folder: trainA and trainB are joined to train, testA and testB to test.

    python datasets/make_dataset_aligned.py --dataset-path datasets/mine

Images are paired by name if A and B have the same names, otherwise by order; the program prints the rule it used.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pairs import by_stem, default_processes, find_images, join_all, tell

from options.parser import OptionParser
from util.errors import InputError, clear_errors
from util.flags import Int

PHASES = ("train", "val", "test")


def pair_up(names_A, names_B, how):
    """("name" or "order", [(name in A, name in B, stem to write)]); `how` is auto, name or order."""
    stems_A, stems_B = by_stem(names_A), by_stem(names_B)
    same = stems_A.keys() == stems_B.keys() and len(stems_A) == len(names_A) and len(stems_B) == len(names_B)
    if how == "name" and not same:
        odd = sorted(stems_A.keys() ^ stems_B.keys()) or ["a name with two extensions"]
        raise InputError(f"the names of A and B differ ({', '.join(odd[:3])}); --pair_by order pairs them as sorted")
    if how == "name" or (how == "auto" and same):
        return "name", [(stems_A[each], stems_B[each], each) for each in sorted(stems_A)]
    if len(names_A) != len(names_B):
        raise InputError(f"{len(names_A)} images of A and {len(names_B)} of B, whose names differ, can't be paired")
    digits = max(4, len(str(len(names_A))))
    in_order = zip(sorted(names_A), sorted(names_B))
    return "order", [(A, B, f"{number:0{digits}d}") for number, (A, B) in enumerate(in_order)]


def align(root, options):
    phases = [phase for phase in PHASES if all(os.path.isdir(os.path.join(root, phase + side)) for side in "AB")]
    if not phases:
        raise InputError(f"--dataset-path {root}: has none of trainA with trainB, valA with valB, testA with testB")
    for phase in phases:
        target = os.path.join(root, phase)
        if os.path.isdir(target) and os.listdir(target):
            raise InputError(f"{target}: exists already; move it away first")
        images_A, images_B = (find_images(f"{target}{side}", "--dataset-path") for side in "AB")
        try:
            how, pairs = pair_up(images_A, images_B, options.pair_by)
        except InputError as error:
            raise InputError(f"{target}A, {target}B: {error}") from None
        print(f"{phase}: {len(pairs)} pairs by {how}")
        tell(
            [f"{A} with {B}" for A, B, _ in pairs[:3]] if how == "order" else [], "first ones: do they belong together?"
        )
        tasks = {
            A: (images_A[A], images_B[B], os.path.join(target, f"{name}.{options.ending}")) for A, B, name in pairs
        }
        if options.dry_run:
            print(f"would write {target}")
            continue
        joined = join_all(tasks, options.processes, options.resize, phase)
        print(f"{target}: {joined} of {len(tasks)} pairs")
        if not joined:
            raise InputError(f"{target}: none of the {len(tasks)} pairs could be joined, see above")


def read_options(command_line):
    parser = OptionParser(command_line)
    parser.description = "Join trainA with trainB and testA with testB, A on the left, B on the right."
    add = parser.add_argument
    add("--dataset-path", required=not parser.wants_help(), metavar="DIR", help="folder with trainA, trainB ...")
    add("--pair_by", default="auto", choices=("auto", "name", "order"), help="auto: by name if all names match")
    add("--ending", default="png", choices=("png", "jpg", "webp"), help="png and webp are lossless, jpg is smaller")
    add("--resize", action="store_true", help="scale B to A's size if they differ, instead of omitting the pair")
    add("--processes", type=Int(1), default=default_processes(), help="number of processes")
    add("--dry_run", action="store_true", help="print what would be done, and stop")
    return parser.parse_or_help()


def main(command_line=None):
    options = read_options(sys.argv[1:] if command_line is None else command_line)
    align(options.dataset_path, options)


if __name__ == "__main__":
    with clear_errors():
        main()
