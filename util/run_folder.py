"""A run's folder without torch: the options it was trained with, the checkpoints in it, and who trains there."""

import contextlib
import glob
import json
import os

from util.errors import InputError

FORMAT = 1


def read(checkpoints_dir, name):
    """The trained run's options as a dict of plain values, or None where no JSON lies beside its checkpoints."""
    path = os.path.join(checkpoints_dir, name, "train_opt.json")
    try:
        with open(path, encoding="utf-8") as file:
            stored = json.load(file)
        version, options = stored["format"], dict(stored["options"])
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: can't be read ({error}); move it away to give the flags by hand") from None
    if version > FORMAT:
        raise InputError(f"{path}: written by a newer version of this program; update to use it")
    return options


def checkpoints(folder):
    """The files of weights and states in a run's folder, of any tag."""
    patterns = ("*_net_*.pth", "*_state.pth", "*_manifest.json")
    return sorted(path for p in patterns for path in glob.glob(os.path.join(glob.escape(folder), p)))


def states(folder):
    """The files that continue a whole run."""
    return [path for path in checkpoints(folder) if path.endswith("_state.pth")]


@contextlib.contextmanager
def owning(folder):
    """Be the only process that trains in this folder while the block runs; the lock dies with the process."""
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "run.lock"), "a+b") as file:
        try:
            _lock(file)
        except OSError:
            message = f"{folder}: another process is training there; wait for it, or choose another --name"
            raise InputError(message) from None
        yield


def _lock(file):
    if os.name == "nt":
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
