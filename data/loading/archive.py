"""Shards: tar files that count as folders of images. A member's path is <shard>/<member>, such as trainA/000.tar/7.jpg.

Members are read at their offsets, in any order. The headers of a shard are read once, and stored by index.py. Every
read opens the shard again, so that no open file is shared between processes or threads.
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
WORTH_STORING = 500  # smallest number of images whose headers are stored; reading them takes about 10 ms
CORRECTION = "copy it again, or pack it anew with tar -cf"


class Shard(NamedTuple):
    """The positions of the images in a shard. Arrays, because each worker would copy a million Python objects."""

    stamp: list  # see index.stamp
    rule: Any  # see data.image_names.rule_key
    names: Any  # (images,) UTF-8 bytes, sorted
    offsets: Any  # (images,) int64
    sizes: Any  # (images,) int64


_shards = {}  # path -> Shard, of this process


def member_paths(shard):
    """Paths of the images in a shard. InputError if the shard is damaged, truncated, or no tar file."""
    names = read_shard(shard).names.tolist()
    return [os.path.join(shard, name.decode("utf-8", "surrogateescape").replace("/", os.sep)) for name in names]


def source(path):
    """`path` itself, or for a member of a shard its bytes as a file object, which PIL can open.

    The message of an InputError lacks the path, because callers add it.
    """
    if not isinstance(path, (str, os.PathLike)) or (where := divide(os.fspath(path))) is None:
        return path
    path, member = where
    shard = _shards.get(path) or read_shard(path)
    offset, size = find(shard, member)
    with open(path, "rb") as file:
        if index.stamp(os.fstat(file.fileno()))[:2] != shard.stamp[:2]:
            raise InputError("the shard was changed while it was in use; start the program again")
        file.seek(offset)
        return io.BytesIO(file.read(size))


def known_below(folder):
    """{shard: number of images} of the shards below a folder that this process has read."""
    prefix = os.path.join(folder, "")
    return {path: len(shard.names) for path, shard in _shards.items() if path.startswith(prefix)}


def divide(path):
    """(shard, member) for the path of a member; None for any other path, also for a file in a folder called x.tar."""
    for found in INSIDE.finditer(path):
        shard = path[: found.end() - 1]
        if shard in _shards or os.path.isfile(shard):
            return shard, path[found.end() :].replace(os.sep, "/")
    return None


def find(shard, member):
    """(offset, size) of a member, in bytes."""
    import numpy as np

    name = np.bytes_(member.encode("utf-8", "surrogateescape"))
    at = int(np.searchsorted(shard.names, name)) if len(shard.names) else 0
    if at == len(shard.names) or shard.names[at] != name:
        raise InputError("the shard has no such image")
    return int(shard.offsets[at]), int(shard.sizes[at])


def read_shard(path):
    """The current Shard at `path`: from memory, from the index, or by reading its headers."""
    moment, status = time.time_ns(), _status(path)
    stamp = index.stamp(status)
    rule = rule_key()
    if path in _shards and _shards[path].stamp == stamp and rule is not None and _shards[path].rule == rule:
        return _shards[path]
    stored = index.load(path, "shard")
    if stored is None or stored["stamp"] != stamp or rule is None or stored.get("rule") != rule:
        members = sorted((name.encode("utf-8", "surrogateescape"), *place) for name, place in headers(path).items())
        names, offsets, sizes = ([member[i] for member in members] for i in range(3))
        text = [name.decode("utf-8", "surrogateescape") for name in names]
        stored = {"stamp": stamp, "rule": rule, "names": text, "offsets": offsets, "sizes": sizes}
        if len(names) >= WORTH_STORING and rule is not None and index.shows_changes([stamp], moment):
            index.save(path, "shard", stored)
    _shards[path] = _as_arrays(stored)
    return _shards[path]


def _status(path):
    try:
        return os.stat(path)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error


def _as_arrays(stored):
    import numpy as np

    names = np.array([name.encode("utf-8", "surrogateescape") for name in stored["names"]], dtype=np.bytes_)
    return Shard(
        stored["stamp"],
        stored["rule"],
        names,
        np.array(stored["offsets"], np.int64),
        np.array(stored["sizes"], np.int64),
    )


def headers(path):
    """{name: (offset, size)} of the images in a tar file; of two members with one name the later, as tar unpacks it."""
    try:
        with open(path, "rb", buffering=0) as file:  # a buffer would read the data behind each header, too
            return _read_headers(file)
    except MemoryError:
        raise
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    except Exception as error:  # tarfile raises many types of exceptions for damaged files
        raise InputError(f"{path}: not a tar file, or damaged ({error}); {CORRECTION}") from error


def _read_headers(file):
    places, end = {}, 0
    with tarfile.open(fileobj=file, mode="r:", encoding="utf-8", errors="surrogateescape") as tar:
        while (member := tar.next()) is not None:
            tar.members.clear()  # otherwise tarfile keeps an object for every member
            if tar.offset <= end:
                raise InputError(f"damaged (a header leads back to byte {tar.offset}); {CORRECTION}")
            end = tar.offset
            if not is_visible_image(name := plain(member.name)):
                continue
            if member.issparse():
                raise InputError(f"{member.name} is stored as a sparse file; pack the shard anew without --sparse")
            if member.isreg():
                places[name] = (member.offset_data, member.size)
            elif member.islnk() and plain(member.linkname) in places:  # a second hard link to a packed file
                places[name] = places[plain(member.linkname)]
        file.seek(tar.offset)
    rest = file.read(65536)
    if len(rest) < tarfile.BLOCKSIZE:
        raise InputError(f"cut off: it ends without the end mark of a tar file; {CORRECTION}")
    if rest.strip(b"\0"):
        raise InputError(f"damaged, or several tar files in one (at byte {tar.offset}); {CORRECTION}")
    return places


def plain(name):
    """The name without empty parts and dots: a/b.jpg for ./a//b.jpg."""
    return "/".join(part for part in name.split("/") if part not in ("", "."))


def is_visible_image(name):
    """Whether a member is an image outside hidden folders; names with ".." are left out, too."""
    return image_rule()(name) and not any(part.startswith(".") for part in name.split("/"))
