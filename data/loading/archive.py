"""Shards: tar files that count as folders of images. A member's path is <shard>/<member>, such as trainA/000.tar/7.jpg.

Members are read where they lie in the file, in any order; the headers are read once, and kept (see index.py).
Every read opens the shard anew: nothing is shared between processes or threads, and nothing stays open.
"""

import io
import os
import re
import tarfile
import time
from typing import Any, NamedTuple

from data.image_names import image_rule, rule_key
from data.loading import index
from util.errors import InputError

INSIDE = re.compile(r"\.tar" + re.escape(os.sep), re.IGNORECASE)
WORTH_KEEPING = 500  # images; the headers of so many take about 10 ms
MEND = "copy it again, or pack it anew with tar -cf"


class Shard(NamedTuple):
    """Where the images of a shard lie. Arrays, since a million names as objects would be copied into every worker."""

    stamp: list  # see index.stamp
    rule: Any  # see data.image_names.rule_key
    names: Any  # (images,) UTF-8 bytes, sorted
    offsets: Any  # (images,) int64
    sizes: Any  # (images,) int64


_shards = {}  # path: Shard, those that this process has met


def member_paths(shard):
    """Paths of the images in a shard. InputError names a shard that is damaged, cut off, or no tar file."""
    names = look_into(shard).names.tolist()
    return [os.path.join(shard, name.decode("utf-8", "surrogateescape").replace("/", os.sep)) for name in names]


def source(path):
    """What PIL can open: `path` itself, or for a member of a shard its bytes as a file.

    An InputError about a member doesn't name the path: the caller does.
    """
    if not isinstance(path, (str, os.PathLike)) or (where := divide(os.fspath(path))) is None:
        return path
    path, member = where
    shard = _shards.get(path) or look_into(path)
    offset, size = find(shard, member)
    with open(path, "rb") as file:
        if index.stamp(os.fstat(file.fileno()))[:2] != shard.stamp[:2]:
            raise InputError("the shard was changed while it was in use; start again")
        file.seek(offset)
        return io.BytesIO(file.read(size))


def met_below(folder):
    """{shard: how many images} of the shards in a folder that this process has listed."""
    prefix = os.path.join(folder, "")
    return {path: len(shard.names) for path, shard in _shards.items() if path.startswith(prefix)}


def divide(path):
    """(shard, member) for the path of a member; None for any other path, those in folders called x.tar too."""
    for found in INSIDE.finditer(path):
        shard = path[: found.end() - 1]
        if shard in _shards or os.path.isfile(shard):
            return shard, path[found.end() :].replace(os.sep, "/")
    return None


def find(shard, member):
    """(offset, size) of a member."""
    import numpy as np

    name = np.bytes_(member.encode("utf-8", "surrogateescape"))
    at = int(np.searchsorted(shard.names, name)) if len(shard.names) else 0
    if at == len(shard.names) or shard.names[at] != name:
        raise InputError("the shard has no such image")
    return int(shard.offsets[at]), int(shard.sizes[at])


def look_into(path):
    """The Shard at `path` as it is now: from memory, from the index, or by reading its headers."""
    moment, status = time.time_ns(), _status(path)
    stamp = index.stamp(status)
    rule = rule_key()
    if path in _shards and _shards[path].stamp == stamp and rule is not None and _shards[path].rule == rule:
        return _shards[path]
    kept = index.load(path, "shard")
    if kept is None or kept["stamp"] != stamp or rule is None or kept.get("rule") != rule:
        members = sorted((name.encode("utf-8", "surrogateescape"), *place) for name, place in headers(path).items())
        names, offsets, sizes = ([member[i] for member in members] for i in range(3))
        text = [name.decode("utf-8", "surrogateescape") for name in names]
        kept = {"stamp": stamp, "rule": rule, "names": text, "offsets": offsets, "sizes": sizes}
        if len(names) >= WORTH_KEEPING and rule is not None and index.settled([stamp], moment):
            index.save(path, "shard", kept)
    _shards[path] = _as_arrays(kept)
    return _shards[path]


def _status(path):
    try:
        return os.stat(path)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error


def _as_arrays(kept):
    import numpy as np

    names = np.array([name.encode("utf-8", "surrogateescape") for name in kept["names"]], dtype=np.bytes_)
    return Shard(
        kept["stamp"], kept["rule"], names, np.array(kept["offsets"], np.int64), np.array(kept["sizes"], np.int64)
    )


def headers(path):
    """{name: (offset, size)} of the images in a tar file; of two with one name the later one, as tar itself has it."""
    try:
        with open(path, "rb", buffering=0) as file:  # else what lies behind each header would be read with it
            return _read_headers(file)
    except MemoryError:
        raise
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    except Exception as error:  # tarfile raises whatever its parsing stumbles over
        raise InputError(f"{path}: not a tar file, or damaged ({error}); {MEND}") from error


def _read_headers(file):
    places, end = {}, 0
    with tarfile.open(fileobj=file, mode="r:", encoding="utf-8", errors="surrogateescape") as tar:
        while (member := tar.next()) is not None:
            tar.members.clear()  # it would keep them all
            if tar.offset <= end:
                raise InputError(f"damaged (a header leads back to byte {tar.offset}); {MEND}")
            end = tar.offset
            if not is_visible_image(name := plain(member.name)):
                continue
            if member.issparse():
                raise InputError(f"{member.name} is stored with holes; pack it anew without --sparse")
            if member.isreg():
                places[name] = (member.offset_data, member.size)
            elif member.islnk() and plain(member.linkname) in places:  # tar stores a file's second name as this
                places[name] = places[plain(member.linkname)]
        file.seek(tar.offset)
    rest = file.read(65536)
    if len(rest) < tarfile.BLOCKSIZE:
        raise InputError(f"cut off: it ends without the end mark of a tar file; {MEND}")
    if rest.strip(b"\0"):
        raise InputError(f"damaged, or several tar files in one (at byte {tar.offset}); {MEND}")
    return places


def plain(name):
    """a/b.jpg for ./a//b.jpg"""
    return "/".join(part for part in name.split("/") if part not in ("", "."))


def is_visible_image(name):
    """Hidden folders don't count, as on disk; neither do paths that lead out of the shard."""
    return image_rule()(name) and not any(part.startswith(".") for part in name.split("/"))
