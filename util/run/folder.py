"""A run's folder: its stored options, its checkpoints and its lock. This file does not import torch.

``<tag>_manifest.json`` holds the size and the checksum of every file of a checkpoint. It is written last: files that
match it are complete and belong together.
"""

import contextlib
import errno
import glob
import hashlib
import json
import os
import re
import sys
import zipfile

from util.errors import InputError, nearest, some_of
from util.files import cannot_write, sweep, write_text

FORMAT = 1  # version of train_opt.json and of manifests


def read(checkpoints_dir, name):
    """The options of a trained run as a dict of plain values, or None if it has no train_opt.json."""
    path, stored = _stored(checkpoints_dir, name)
    return None if stored is None else options_in(path, stored)


def read_own(checkpoints_dir, name):
    """The framework's values of the flags that a user's file of the run declares (see util/namespace.py), as a dict."""
    _, stored = _stored(checkpoints_dir, name)
    return dict((stored or {}).get("own", {}))


def _stored(checkpoints_dir, name):
    """The path of a run's train_opt.json, and its parsed content; None if it does not exist."""
    path = os.path.join(checkpoints_dir, name, "train_opt.json")
    try:
        with open(path, encoding="utf-8") as file:
            stored = json.load(file)
        if stored is None:
            raise ValueError("it holds no options")
        return path, stored
    except (FileNotFoundError, NotADirectoryError):
        return path, None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: can't be read ({error}); move it away to give the flags by hand") from None


def options_in(path, stored):
    """The options in the parsed content of a train_opt.json; `path` names it in an InputError."""
    try:
        version, options = int(stored["format"]), dict(stored["options"])
        if not isinstance(options["model"], str) or not isinstance(options["dataset_mode"], str):
            raise TypeError("model and dataset_mode are words")
        if not isinstance(stored.get("own", {}), dict):
            raise TypeError("own holds names and values")
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise InputError(f"{path}: can't be read ({error}); move it away to give the flags by hand") from None
    if version > FORMAT:
        raise InputError(f"{path}: written by a newer version of this program; update to use it")
    return options


def no_run(checkpoints_dir: str, name: str) -> str:
    """The end of a message that begins with the path of a run: why it is none, the other runs, the nearest name."""
    if os.path.isdir(os.path.join(checkpoints_dir, name)):
        return "no trained run: it has no train_opt.json with the options of a training"
    runs = sorted(_runs(checkpoints_dir, os.path.dirname(name)))
    there = f"; there are {some_of(runs, 12)}" if runs else ""
    return f"no such run folder{there}{';' * bool(hint := nearest(name, runs))}{hint}"


def _runs(checkpoints_dir, group):
    """Names of the trained runs in a folder of runs, and in its sub-folder `group`."""
    for prefix in {"", group}:
        folder = os.path.join(checkpoints_dir, prefix)
        for each in os.listdir(folder) if os.path.isdir(folder) else ():
            run = os.path.join(folder, each)
            if os.path.isfile(os.path.join(run, "train_opt.json")) or checkpoints(run):
                yield os.path.join(prefix, each)


# The file names of a checkpoint. Other files in the folder belong to a plug-in and are never read or removed.
_WRITTEN = re.compile(r"(latest|best|\d+|iter_\d+)_(?:(net)_(.+)\.pth|(state)\.pth|(manifest)\.json)")


def split_name(name: str) -> tuple[str, str, str]:
    """(tag, kind: net | state | manifest, name of the network) of a checkpoint's file; empty strings for others."""
    match = _WRITTEN.fullmatch(name)
    return (match[1], match[2] or match[4] or match[5], match[3] or "") if match else ("", "", "")


def checkpoints(folder: str) -> list[str]:
    """Paths of all files of checkpoints in a run's folder."""
    names = os.listdir(folder) if os.path.isdir(folder) else []
    return sorted(os.path.join(folder, name) for name in names if any(split_name(name)))


def states(folder: str) -> list[str]:
    """Paths of the state files in a run's folder."""
    return [path for path in checkpoints(folder) if path.endswith("_state.pth")]


# --- manifests -------------------------------------------------------------------------------------------------------


def write_manifest(folder, tag, sums, total_iters):
    """`sums`: file name -> its checksum()."""
    manifest = {"format": FORMAT, "tag": tag, "total_iters": total_iters, "files": sums}
    write_text(os.path.join(folder, f"{tag}_manifest.json"), json.dumps(manifest, indent=1))


def checksum(path):
    return {"bytes": os.path.getsize(path), "sha256": digest(path)}


def read_manifest(folder, tag):
    """The manifest as a dict, or None if it is missing or damaged. The values in its "files" are not checked."""
    try:
        with open(os.path.join(folder, f"{tag}_manifest.json"), encoding="utf-8") as file:
            manifest = json.load(file)
        good = isinstance(manifest["files"], dict) and isinstance(manifest["total_iters"], int)
        return manifest if good else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def listed(path, tag):
    """The checksum() of a file in the manifest of `tag` beside it; None if the manifest does not list the file."""
    manifest = read_manifest(os.path.dirname(path), tag)
    return manifest["files"].get(os.path.basename(path)) if manifest else None


def as_listed(path, tag):
    """Whether a file has the checksum that its manifest lists."""
    try:
        return listed(path, tag) == checksum(path)
    except OSError:
        return False


def broken_inside(path):
    """The damage that the checksums inside a zip file of torch show, or None.

    For a file that its manifest does not match: there is no manifest, or a crash has left an old manifest.
    """
    try:
        with zipfile.ZipFile(path) as file:
            broken = file.testzip()
    except Exception as error:  # zipfile raises many types for damaged files
        return f"damaged ({str(error) or type(error).__name__})"
    return f"damaged (checksum of {broken!r})" if broken else None


def whole_exports(folder):
    """The tags in a folder whose exports all match their manifest, newest first."""
    found = []
    for path in glob.glob(os.path.join(glob.escape(folder), "*_manifest.json")):
        tag = os.path.basename(path).removesuffix("_manifest.json")
        manifest = read_manifest(folder, tag) or {"files": {}}
        exports = [os.path.join(folder, os.path.basename(name)) for name in manifest["files"] if "_net_" in name]
        if exports and all(as_listed(export, tag) for export in exports):
            found.append((manifest["total_iters"], tag))
    return [tag for _, tag in sorted(found, reverse=True)]


def digest(path):
    sha = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            sha.update(block)
    return sha.hexdigest()


# --- the lock --------------------------------------------------------------------------------------------------------


LOCK = "run.lock"
_held = []  # the open lock files of this process


@contextlib.contextmanager
def owning(folder):
    """Lock the folder, so that only this process trains in it while the block runs; the lock ends with the process.

    Unfinished files of a killed process are removed. A folder that is created here and stays empty is removed at the
    end. Raises InputError if another process holds the lock, or if the folder can't be written.
    """
    new = not os.path.isdir(folder)
    with _lock_file(folder) as file:
        _lock(file, folder)
        _held.append(file)
        sweep(folder)
        try:
            yield
        finally:
            if file in _held:  # not in a forked child
                _held.remove(file)
                if new and os.listdir(folder) == [LOCK]:
                    with contextlib.suppress(OSError):
                        os.remove(os.path.join(folder, LOCK))
                        os.rmdir(folder)


def _lock_file(folder):
    try:
        os.makedirs(folder, exist_ok=True)
        return open(os.path.join(folder, LOCK), "a+b")
    except OSError as error:
        raise InputError(cannot_write(folder, error, flag="--checkpoints_dir")) from None


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
        print(
            f"warning: {folder}: its file system has no locks ({error.strerror}); train only one run at a time in it",
            file=sys.stderr,
        )


def _let_go():
    while _held:
        _held.pop().close()


# A forked data worker inherits the lock, and would hold it for some seconds after its parent process was killed.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)
