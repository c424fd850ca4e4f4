"""What takes long to find out about big folders and shards, kept in the user's cache folder from run to run.

Nothing here can end a run: what can't be read, written or trusted is found out again. No pickles: text with a checksum.
"""

import contextlib
import hashlib
import json
import os
import time
import zlib

from util.errors import InputError
from util.files import write_text

SEAL = "metamer index 1"
UNSURE = 2 * 10**9  # ns; a file system's clock may tick this slowly (FAT), so a later change could show the same time
PATIENCE = 600  # seconds to wait for another process that is at it


def cache_folder():
    """Where indexes lie; None where there is no such place, or the environment says METAMER_NO_INDEX=1."""
    if os.environ.get("METAMER_NO_INDEX", "0") not in ("", "0"):
        return None
    root = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(root):  # as the standard wants it: relative ones don't count
        root = os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(root, "metamer") if os.path.isabs(root) else None


def place_of(path, kind):
    """The index file of a folder or shard, by its absolute path; None without a cache folder."""
    folder = cache_folder()
    name = hashlib.sha256(os.fsencode(os.path.abspath(path))).hexdigest()[:40]
    return folder and os.path.join(folder, f"{kind}-{name}.json")


def load(path, kind):
    """The dict that was kept about `path`, None if none was or it is damaged. Whether it still holds is not asked."""
    place = place_of(path, kind)
    if place is None:
        return None
    try:
        with open(place, encoding="ascii") as file:
            seal, _, body = file.read().partition("\n")
        return json.loads(body) if seal == sealed(body) else None
    except (OSError, ValueError):
        return None


def save(path, kind, content):
    """Keep a dict; returns the file, or None if that was not possible."""
    place = place_of(path, kind)
    if place is None:
        return None
    body = json.dumps(content)  # ASCII, also where names are in no encoding at all
    try:
        write_text(place, f"{sealed(body)}\n{body}")
    except InputError:
        return None
    return place


def sealed(body):
    """The first line of a file, which tells a whole one from a damaged one, and from other versions'."""
    return f"{SEAL} {len(body)} {zlib.crc32(body.encode('ascii', 'replace')):08x}"


def stamp(status):
    """[when written to, size, when changed at all] of an os.stat result: equal as long as nothing was changed.

    The last one also tells a folder from another that was put in its place with old times, as unpacking does.
    """
    return [status.st_mtime_ns, status.st_size, status.st_ctime_ns]


def settled(stamps, moment):
    """Whether what was looked at from `moment` (time_ns) on would show any change since in its stamp."""
    return all(min(written, changed) > 0 and max(written, changed) < moment - UNSURE for written, _, changed in stamps)


@contextlib.contextmanager
def one_first(path, kind):
    """Of several processes that come here at once one runs the block and the rest wait for it, then run it together."""
    turn = _queue(path, kind)
    try:
        yield
    finally:
        if turn is not None:
            turn.close()


def _queue(path, kind):
    """The open lock file for the process that goes first; None for those that waited, or where there are no locks."""
    place = place_of(path, kind)
    if place is None:
        return None
    try:
        import fcntl

        os.makedirs(os.path.dirname(place), exist_ok=True)
        lock = open(f"{place}.lock", "ab")  # noqa: SIM115 - the lock is held for as long as it is open
    except (ImportError, OSError):  # Windows; a cache folder that can't be written to
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
