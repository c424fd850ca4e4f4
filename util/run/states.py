"""The state files in a run's folder: find them, tell which of them are whole, and read them."""

import os
from typing import NamedTuple

from util.errors import InputError
from util.run import folder as run_folder
from util.run import manifest, weights

FORMAT = 1


class Found(NamedTuple):
    """A state file in a run's folder."""

    tag: str
    path: str
    total_iters: int  # images seen when it was written; -1 if it can't be read


def find(folder: str, tag: str | None = None) -> list[Found]:
    """The state files of a run, newest first; only the file of `tag` if one is given."""
    if tag is None:
        paths = run_folder.states(folder)
    else:
        path = os.path.join(folder, f"{tag}_state.pth")
        paths = [path] if os.path.exists(path) else []
    found = [Found(os.path.basename(path).removesuffix("_state.pth"), path, _position(path)) for path in paths]
    return sorted(found, key=_age, reverse=True)


def _age(found):
    """Unreadable files sort as the newest, so that a caller who looks for a whole file reports them first."""
    return found.total_iters < 0, found.total_iters, found.tag == "latest", os.path.getmtime(found.path)


def _position(path):
    """Read from the state itself, because its manifest may be outdated or lost. Mapped: no tensor is read."""
    try:
        position = weights.read_plain(path, mmap=True)["progress"]["total_iters"]
        return position if isinstance(position, int) else -1
    except (InputError, KeyError, TypeError, IndexError, RuntimeError):
        return -1


def newest_whole(folder: str) -> Found | None:
    """The newest state file of a run that is whole."""
    return next((found for found in find(folder) if not damage(folder, found)), None)


def read_state(path: str) -> dict:
    state = weights.read_plain(path)
    try:
        newer = int(state["format"]) > FORMAT
    except (TypeError, KeyError, ValueError, IndexError, OverflowError, RuntimeError):
        raise InputError(f"{path}: not the state of a run") from None
    if newer:
        raise InputError(f"{path}: written by a newer version of this program; update to use it")
    return state


def damage(folder: str, found: Found) -> str | None:
    """A description of what is wrong with a state file, or None if it is whole."""
    path = os.path.join(folder, os.path.basename(found.path))
    return None if manifest.as_listed(path, found.tag) else weights.unreadable(path)
