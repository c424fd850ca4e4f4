"""An index of large folders and shards in the user's cache folder, so that later runs need not list them again.

An entry that can't be read, written or trusted is ignored, and the folder is listed again. Entries are JSON with a
checksum, not pickles, so that reading them can't run code.
"""

import contextlib
import hashlib
import json
import os
import time
import zlib

from util.errors import InputError
from util.files import write_text

VERSION = "metamer index 1"
RESOLUTION = 2 * 10**9  # ns, of time stamps on FAT: two changes within this time may have the same stamp
PATIENCE = 600  # seconds to wait for another process that lists the same folder


def cache_folder():
    """The folder of the index; None if there is no cache folder, or if METAMER_NO_INDEX=1 is set."""
    if os.environ.get("METAMER_NO_INDEX", "0") not in ("", "0"):
        return None
    root = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(root):  # the XDG specification: relative paths are ignored
        root = os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(root, "metamer") if os.path.isabs(root) else None


def place_of(path, kind):
    """The index file of a folder or shard, named by a hash of its absolute path; None without a cache folder."""
    folder = cache_folder()
    name = hashlib.sha256(os.fsencode(os.path.abspath(path))).hexdigest()[:40]
    return folder and os.path.join(folder, f"{kind}-{name}.json")


def load(path, kind):
    """The dict that was saved for `path`; None if there is none, or if it is damaged. It may be outdated."""
    place = place_of(path, kind)
    if place is None:
        return None
    try:
        with open(place, encoding="ascii") as file:
            first, _, body = file.read().partition("\n")
        return json.loads(body) if first == first_line(body) else None
    except (OSError, ValueError):
        return None


def save(path, kind, content):
    """Save a dict for `path`; returns the index file, or None if it could not be written."""
    place = place_of(path, kind)
    if place is None:
        return None
    body = json.dumps(content)  # ASCII, also for file names that are not valid UTF-8
    try:
        write_text(place, f"{first_line(body)}\n{body}")
    except InputError:
        return None
    return place


def first_line(body):
    """The first line of an index file, with the version and the checksum of the rest."""
    return f"{VERSION} {len(body)} {zlib.crc32(body.encode('ascii', 'replace')):08x}"


def stamp(status):
    """[time of the last write, size, time of the last change] of an os.stat result; a change of the file changes it.

    The last time also changes if a folder is replaced by another whose time of writing is set back, as by unpacking.
    """
    return [status.st_mtime_ns, status.st_size, status.st_ctime_ns]


def shows_changes(stamps, moment):
    """Whether every change after `moment` (time_ns) gives another stamp: all changes in `stamps` are older."""
    before = moment - RESOLUTION
    return all(min(written, changed) > 0 and max(written, changed) < before for written, _, changed in stamps)


@contextlib.contextmanager
def one_process_first(path, kind):
    """If several processes enter the block at once, one of them runs it first, and the others run it afterwards."""
    lock = _lock_or_wait(path, kind)
    try:
        yield
    finally:
        if lock is not None:
            lock.close()


def _lock_or_wait(path, kind):
    """The open lock file in the first process; None in the others, after the wait, or without file locks."""
    place = place_of(path, kind)
    if place is None:
        return None
    try:
        import fcntl

        os.makedirs(os.path.dirname(place), exist_ok=True)
        lock = open(f"{place}.lock", "ab")  # noqa: SIM115 - open as long as the lock is held
    except (ImportError, OSError):  # Windows; a cache folder that can't be written
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return lock
    except OSError as error:
        if isinstance(error, BlockingIOError):
            _wait(lock, fcntl)
        lock.close()
        return None


def _wait(lock, fcntl):
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        time.sleep(0.05)
        with contextlib.suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return
