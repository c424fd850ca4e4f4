"""Divides names into train, val and test, equally on every machine, and copies or links files."""

import hashlib
import os
import shutil

from data.loading.archive import source as open_member
from util.errors import InputError

PARTS = ("train", "val", "test")


def divide(names, fractions, seed=0):
    """{name: part} with counts as close to `fractions` (of train, val, test; sum 1) as whole numbers allow.

    The part of a name depends only on the names and the seed: names are sorted by a hash of both.
    """
    shuffled = sorted(names, key=lambda name: (hashlib.sha256(f"{seed}:{name}".encode()).digest(), name))
    parts, start = {}, 0
    for part, end in zip(PARTS, _bounds(len(shuffled), fractions)):
        parts.update(dict.fromkeys(shuffled[start:end], part))
        start = end
    return parts


def _bounds(count, fractions):
    """The end index of each part; a part with a positive fraction gets at least one name if there are enough names."""
    bounds = [round(sum(fractions[: i + 1]) * count) for i in range(len(fractions))]
    bounds[-1] = count
    wanted = [int(share > 0) for share in fractions]
    for i in range(len(bounds)):
        bounds[i] = max(bounds[i], sum(wanted[: i + 1]))
    for i in range(len(bounds)):
        bounds[i] = max(0, min(bounds[i], count - sum(wanted[i + 1 :])))
    return bounds


def check_fractions(train, val, test):
    """The three numbers, or InputError."""
    if abs(train + val + test - 1) > 1e-6:
        raise InputError(f"--train {train:g} --val {val:g} --test {test:g}: together {train + val + test:g}, must be 1")
    return train, val, test


def put(source, target, how):
    """Copy or hard-link a file. A link needs no space and is another name of the same file."""
    member = open_member(source)
    if member is not source and how == "link":
        raise InputError(f"{source}: is in a tar file, so it can't be linked; use --how copy")
    try:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if member is not source:
            with open(target, "wb") as file:
                file.write(member.read())
        elif how == "link":
            os.link(os.path.realpath(source), target)
        else:
            shutil.copyfile(source, target)
    except OSError as error:
        hint = "; --how copy needs no links" if how == "link" else ""
        raise InputError(f"{target}: can't be made ({error.strerror or error}){hint}") from error


def refuse_if_filled(folder, flag="--to"):
    if os.path.isfile(folder) or (os.path.isdir(folder) and os.listdir(folder)):
        raise InputError(f"{flag} {folder}: exists already; name a new or empty folder")
