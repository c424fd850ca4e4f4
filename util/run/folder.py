"""A run's folder without torch: the options it was trained with, the checkpoints in it, and who trains there."""

import contextlib
import errno
import json
import os
import re
import sys

from util.errors import InputError
from util.files import cannot_write, sweep

FORMAT = 1


def read(checkpoints_dir, name):
    """The trained run's options as a dict of plain values, or None where no JSON lies beside its checkpoints."""
    path = os.path.join(checkpoints_dir, name, "train_opt.json")
    try:
        with open(path, encoding="utf-8") as file:
            stored = json.load(file)
        version, options = int(stored["format"]), dict(stored["options"])
        if not isinstance(options["model"], str) or not isinstance(options["dataset_mode"], str):
            raise TypeError("model and dataset_mode are words")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise InputError(f"{path}: can't be read ({error}); move it away to give the flags by hand") from None
    if version > FORMAT:
        raise InputError(f"{path}: written by a newer version of this program; update to use it")
    return options


# The names that a checkpoint writes. Other files in the folder are a plug-in's own and are never read or removed.
_WRITTEN = re.compile(r"(latest|\d+|iter_\d+)_(?:(net)_(.+)\.pth|(state)\.pth|(manifest)\.json)")


def split_name(name: str) -> tuple[str, str, str]:
    """(tag, kind: net | state | manifest, name of the network) of a checkpoint's file; empty texts for other files."""
    match = _WRITTEN.fullmatch(name)
    return (match[1], match[2] or match[4] or match[5], match[3] or "") if match else ("", "", "")


def checkpoints(folder: str) -> list[str]:
    """The files of weights and states in a run's folder, of any tag."""
    names = os.listdir(folder) if os.path.isdir(folder) else []
    return sorted(os.path.join(folder, name) for name in names if any(split_name(name)))


def states(folder: str) -> list[str]:
    """The files that continue a whole run."""
    return [path for path in checkpoints(folder) if path.endswith("_state.pth")]


_held = []  # the open lock files of this process


@contextlib.contextmanager
def owning(folder):
    """Be the only process that trains in this folder while the block runs; the lock dies with the process.

    The owner also clears away what a killed one left half written. Raises InputError where nothing can be written.
    """
    with _lock_file(folder) as file:
        _lock(file, folder)
        _held.append(file)
        sweep(folder)
        try:
            yield
        finally:
            if file in _held:  # not in a forked child
                _held.remove(file)


def _lock_file(folder):
    try:
        os.makedirs(folder, exist_ok=True)
        return open(os.path.join(folder, "run.lock"), "a+b")
    except OSError as error:
        raise InputError(cannot_write(folder, error)) from None


def _lock(file, folder):
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK, errno.EDEADLK):
            message = f"{folder}: another process is training there; wait for it, or choose another --name"
            raise InputError(message) from None
        print(f"warning: {folder}: no locks here ({error.strerror}); see that one run only uses it", file=sys.stderr)


def _let_go():
    while _held:
        _held.pop().close()


# A forked data worker would hold the lock for as long as it lives, and workers outlive a killed owner by seconds.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)
