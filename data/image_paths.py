"""Paths of the images below a folder, without opening them and without importing torch."""

import contextlib
import os
import stat
import time
import warnings

from data.image_names import (
    EXTENSIONS,
    IMG_EXTENSIONS,
    about_unread,
    image_rule,
    is_compressed,
    is_image_file,
    is_shard,
    rule_key,
    unread_ending,
)
from data.loading import archive, index
from util.errors import InputError, Notice

__all__ = ["EXTENSIONS", "IMG_EXTENSIONS", "is_image_file", "make_dataset"]

BIG = 10_000  # smallest number of entries for which a listing is stored
MANY = 10  # smallest number of shards for which one process reads the headers and the others wait


def make_dataset(dir, max_dataset_size=float("inf")):
    """Paths of the images in a folder and its sub-folders, also linked ones: the first `max_dataset_size`, sorted.

    Hidden folders are left out. A link to a folder that contains it is not followed. Dangling links to images stay in
    the list, so that opening them raises an error. Tar files count as folders (data/loading/archive.py).
    """
    if not os.path.isdir(dir):
        raise InputError(f"{dir}: there is no such folder")
    listing, prefix = list_folder(dir), os.path.join(dir, "")
    notify_unread(dir, listing)
    paths = [prefix + name for name in listing["images"]]
    shards, compressed = ([prefix + name for name in listing[kind]] for kind in ("shards", "compressed"))
    if compressed and (shards or not paths):  # beside image files, it may be the archive that held them
        raise InputError(f"{compressed[0]}: images can't be read from a compressed archive; unpack it, or make it .tar")
    if shards:
        with index.one_process_first(dir, "shards") if len(shards) >= MANY else contextlib.nullcontext():
            for shard in shards:
                paths += archive.member_paths(shard)
        paths.sort()
    return paths[: int(min(max_dataset_size, len(paths)))]


def notify_unread(dir, listing):
    """Notify of images that are left out because of their format."""
    unread = about_unread(listing.get("unread", ()))
    if unread and listing["images"]:  # without images the folder is an error
        warnings.warn(Notice(f"{dir} also has {unread}"), stacklevel=3)


def list_folder(dir):
    """{"images", "shards", "compressed", "unread": sorted names below `dir`; "watched": see _walk; "rule": rule_key()}.

    "unread" are images of formats that are left out. The listing of a large folder is stored in the index, and read
    from it while the folder does not change.
    """
    stored = _stored(dir)
    if stored is not None:
        return stored
    moment, start = time.time_ns(), time.perf_counter()
    found, watched, entries = {"images": [], "shards": [], "compressed": [], "unread": []}, {}, 0
    is_image = image_rule()
    skip = len(os.path.join(dir, ""))
    with contextlib.ExitStack() as stack:
        for kind, path in _walk(os.fspath(dir), frozenset(), watched, is_image):
            entries += 1
            if entries == BIG:
                stack.enter_context(index.one_process_first(dir, "folder"))
                if (stored := _stored(dir)) is not None:  # by the process that was first
                    return stored
            if kind:
                found[kind].append(path[skip:])
        listing = {kind: sorted(names) for kind, names in found.items()}
        listing["watched"] = {path[skip:]: mark for path, mark in watched.items()}
        listing["rule"] = rule_key()
        stamps = filter(None, watched.values())
        if entries >= BIG and listing["rule"] is not None and index.shows_changes(stamps, moment):
            place, seconds = index.save(dir, "folder", listing), time.perf_counter() - start
            if place:
                print(f"{dir}: {entries:,} entries listed in {seconds:.1f} s; stored in {place} for the next run")
    return listing


def _stored(dir):
    """The listing in the index, or None if there is none, or if a folder in it has changed."""
    listing, prefix = index.load(dir, "folder"), os.path.join(dir, "")
    if not listing or listing.get("rule") is None or listing["rule"] != rule_key():
        return None
    if all(_mark(prefix + name) == mark for name, mark in listing["watched"].items()):
        return listing
    return None


def _mark(path):
    """The stamp of a folder (index.stamp); None if there is no folder."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return index.stamp(status) if stat.S_ISDIR(status.st_mode) else None


def _walk(folder, above, watched, is_image):
    """Yields (kind, path) of all entries below `folder`; kind is None for ignored entries, such as hidden ones.

    `above` holds the identities of the parent folders, to detect loops. `watched` is filled with {path: its _mark} of
    all folders, and of links that may point to a folder later: while their marks are equal, the listing is valid.
    """
    try:
        status = os.stat(folder)  # before listing it, so that a change during the listing is detected
        watched[folder] = index.stamp(status)
        here = (status.st_dev, status.st_ino)
        if here in above:
            return
        below = []
        with os.scandir(folder) as scan:
            for entry in scan:
                kind = _kind(entry, is_image)
                if kind == "folder":
                    below.append(entry.path)
                elif kind is None and not entry.name.startswith(".") and entry.is_symlink():
                    watched[entry.path] = _mark(entry.path)
                yield (None if kind == "folder" else kind), entry.path
    except OSError as error:
        raise InputError(f"{folder}: {error.strerror}") from error
    for path in below:
        yield from _walk(path, above | {here}, watched, is_image)


def _kind(entry, is_image):
    name = entry.name
    if name.startswith("."):
        return None
    if _is_folder(entry):
        return "folder"
    if is_image(name):
        kind = "images"
    elif is_shard(name):
        kind = "shards"
    else:
        kind = "compressed" if is_compressed(name) else "unread" if unread_ending(name) else None
    return kind if kind and (entry.is_symlink() or entry.is_file()) else None


def _is_folder(entry):
    try:
        return entry.is_dir()
    except OSError:  # a link that points to itself
        return False
