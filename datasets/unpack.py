"""Unpacks untrusted archives safely: no absolute paths, no .., no links, limited size."""

import contextlib
import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path, PureWindowsPath
from typing import NamedTuple

from util.errors import InputError
from util.show.bar import Bar

# Images are hardly compressible: an archive that expands a hundredfold does not contain images.
GROWTH = 100
ALLOWANCE = 1 << 26  # bytes that any archive may unpack to
MOST_FILES = 5_000_000
NOISE = ("__MACOSX", ".DS_Store")
DAMAGED = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, NotImplementedError, RuntimeError)


class Member(NamedTuple):
    name: str
    kind: str  # file, folder, or other: links and devices
    size: int
    open: Callable


def unpack(archive, folder, keep=(), say=print):
    """Unpack a zip or tar file into the new `folder`. A single top-level folder (horse2zebra/) is removed from
    the paths, unless its name is in `keep`.

    Raises InputError for a damaged or hostile archive and removes the folder. Links are skipped and counted.
    """
    archive, folder = Path(archive), Path(folder)
    folder.mkdir(parents=True)
    try:
        with _members(archive) as members:
            left_out = _write_files(archive, members, folder)
        _lift(folder, keep)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    if left_out:
        say(f"{archive.name}: {left_out} links or special files in it were left out")


@contextlib.contextmanager
def _members(archive):
    """The members of the archive; errors of the archive itself are raised as InputError."""
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as opened:
                yield _of_zip(opened)
        elif tarfile.is_tarfile(archive):
            with tarfile.open(archive) as opened:
                yield _of_tar(opened)
        else:
            raise InputError(f"{archive}: neither a zip nor a tar file; is it a web page saved under that name?")
    except DAMAGED as error:
        raise InputError(f"{archive}: damaged ({error}); download it again") from None
    except OSError as error:
        if error.strerror is None:  # an error in gzip's data
            raise InputError(f"{archive}: damaged ({error}); download it again") from None
        raise InputError(f"{error.filename or archive}: {error.strerror}; is the disk full?") from error


def _of_zip(opened):
    for member in opened.infolist():
        plain = stat.S_IFMT(member.external_attr >> 16) in (0, stat.S_IFREG)
        kind = "folder" if member.is_dir() else "file" if plain else "other"
        yield Member(member.filename, kind, member.file_size, partial(opened.open, member))


def _of_tar(opened):
    for member in opened:
        kind = "folder" if member.isdir() else "file" if member.isreg() else "other"
        yield Member(member.name, kind, member.size, partial(opened.extractfile, member))
    while opened.fileobj.read(1 << 20):  # gzip compares its checksum at the very end, where tar has stopped reading
        pass


def _write_files(archive, members, folder):
    """Write the regular files; return the number of other members."""
    budget = GROWTH * archive.stat().st_size + ALLOWANCE
    left_out = 0
    for number, member in enumerate(Bar(None, "files", f"unpacking {archive.name}").over(members)):
        parts = _safe_parts(archive, member.name)
        if member.kind == "folder" or any(part in NOISE or part.startswith("._") for part in parts):
            continue
        if member.kind == "other":
            left_out += 1
            continue
        budget -= member.size
        if budget < 0 or number >= MOST_FILES:
            raise InputError(f"{archive}: unpacks to far more data than images do; nothing was unpacked")
        path = folder.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        # Both libraries return at most `member.size` bytes; zipfile checks the CRC.
        with member.open() as source, open(path, "wb") as target:
            shutil.copyfileobj(source, target, 1 << 18)
    return left_out


def _safe_parts(archive, name):
    """The path components of the name; InputError if on any system the path leaves the folder."""
    windows = PureWindowsPath(name)
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
    if windows.drive or windows.root or ".." in parts or "\0" in name:
        raise InputError(f"{archive}: has a file named {name!r}, a path outside the folder; nothing was unpacked")
    return parts


def _lift(folder, keep):
    """Move the content of a single top-level folder up: horse2zebra/trainA becomes trainA."""
    inside = list(folder.iterdir())
    if len(inside) != 1 or not inside[0].is_dir() or inside[0].name in keep:
        return
    lone = inside[0].rename(folder / ".lifting")
    for path in list(lone.iterdir()):
        os.rename(path, folder / path.name)
    lone.rmdir()
