"""The pairs of image files of --dataset_mode aligned: from two folders with equal names, or from a table."""

import csv
import os

from data.folders import find_images, phase_of
from util.errors import InputError, some_of


def has_two_folders(opt):
    """Whether to read <phase>A and <phase>B: both exist (one is enough in a test), and no folder <phase> exists."""
    if os.path.isdir(os.path.join(opt.dataroot, phase_of(opt))):
        return False
    there = [os.path.isdir(_folder(opt, side)) for side in "AB"]
    return all(there) or (any(there) and not opt.isTrain)


def _folder(opt, side):
    return os.path.join(opt.dataroot, phase_of(opt, side) + side)


def paths_of_folders(opt, folders_A=(), folders_B=()):
    """([(path of A, path of B)], root folders). Two files are a pair if their paths below the folders, without endings,
    are equal. `folders_A` and `folders_B`: the values of --folders_A and --folders_B."""
    found, folders = {}, []
    for side, stacked in (("A", folders_A), ("B", folders_B)):
        if os.path.isdir(_folder(opt, side)):
            name = os.path.join(phase_of(opt, side) + side, *stacked[:1])
            folders.append(os.path.join(opt.dataroot, name))
            found[side] = _by_stem(find_images(opt, name, [name]), folders[-1])
    if len(found) == 1:
        side = next(iter(found))
        print(f"{opt.dataroot}: there is only {folders[0]}, so its images are tested without their truths")
        missing = dict.fromkeys(found[side])
        found = {"A": missing, "B": missing, **found}
    alone = {side: sorted(found[side].keys() - found[other].keys()) for side, other in ("AB", "BA")}
    if alone["A"] or alone["B"]:
        shown = (f"{_folder(opt, side)} has {some_of(names)}" for side, names in alone.items() if names)
        raise InputError(f"images without a partner of the same name: {'; '.join(shown)}")
    return [(found["A"][stem], found["B"][stem]) for stem in found["A"]], [opt.dataroot, *folders]


def _by_stem(paths, folder):
    by_stem = {}
    for path in paths:
        stem = os.path.splitext(os.path.relpath(path, folder))[0]
        if stem in by_stem:
            raise InputError(f"{by_stem[stem]}, {path}: two images have the same name; remove or rename one of them")
        by_stem[stem] = path
    return by_stem


def paths_of_csv(opt):
    """[(path of A, path of B)] in the table of --pairs: its columns A and B, or without this header the first two.

    Paths are relative to the table's folder. If there is a column ``phase``, rows of other phases are left out.
    """
    try:
        with open(opt.pairs, newline="", encoding="utf-8-sig") as file:
            rows = [row for row in csv.reader(file) if any(cell.strip() for cell in row)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"--pairs {opt.pairs}: {getattr(error, 'strerror', None) or error}") from error
    names = [cell.strip().lower() for cell in rows[0]] if rows else []
    has_header = "a" in names and "b" in names
    if has_header:
        columns, rows = (names.index("a"), names.index("b")), rows[1:]
        if "phase" in names:
            rows = [row for row in rows if row[names.index("phase")].strip() == opt.phase]
    else:
        columns = (0, 1)
    folder = os.path.dirname(os.path.abspath(opt.pairs))
    pairs = []
    for number, row in enumerate(rows, start=1 + has_header):
        if len(row) <= max(columns) or not all(row[column].strip() for column in columns):
            raise InputError(f"--pairs {opt.pairs}, row {number}: expected a path of A and a path of B")
        pairs.append(tuple(os.path.join(folder, row[column].strip()) for column in columns))
    missing = [path for pair in pairs for path in pair if not os.path.exists(path)]
    if missing:
        raise InputError(f"--pairs {opt.pairs}: there is no {some_of(missing)}")
    if not pairs:
        raise InputError(f"--pairs {opt.pairs}: no pairs in it for --phase {opt.phase}")
    return pairs[: int(min(opt.max_dataset_size, len(pairs)))]
