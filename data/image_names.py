"""Which names are those of images, of shards, and of archives that can't be shards.

Users of the original programs read further kinds of files in one of two ways, and both change every listing here:
``data.image_folder.IMG_EXTENSIONS.append(".npy")``, or a function of their own as ``data.image_folder.is_image_file``.
"""

import os
import sys
from collections.abc import Callable

EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".tif", ".tiff", ".webp", ".avif", ".npy", ".npz")
IMG_EXTENSIONS = [spelling for extension in EXTENSIONS for spelling in (extension, extension.upper())]

SHARD = ".tar"
COMPRESSED = tuple(".tar." + kind for kind in "gz bz2 xz zst lz4 lzma z".split()) + (".tgz", ".tbz2", ".txz", ".tzst")


def is_image_file(filename: str) -> bool:
    """Whether a name or path has an ending of IMG_EXTENSIONS; hidden files (.x.png, ._x.png) do not count."""
    name = os.path.basename(filename)
    return name.lower().endswith(_endings()) and not name.startswith(".")


def image_rule() -> Callable[[str], bool]:
    """The function that decides in listings: is_image_file, or the one that replaced it in data.image_folder."""
    public = sys.modules.get("data.image_folder")
    return getattr(public, "is_image_file", is_image_file)


def rule_key() -> list[str] | None:
    """What a stored listing depends on besides the folder: the endings; None for a function of a plug-in."""
    return sorted(_endings()) if image_rule() is is_image_file else None


_known: tuple[int, tuple[str, ...]] = (0, ())  # number of IMG_EXTENSIONS, and their distinct lower-case forms


def _endings() -> tuple[str, ...]:
    global _known
    if _known[0] != len(IMG_EXTENSIONS):
        _known = len(IMG_EXTENSIONS), tuple({ending.lower() for ending in IMG_EXTENSIONS})
    return _known[1]


def is_shard(name: str) -> bool:
    return name.lower().endswith(SHARD) and not name.startswith(".")


def is_compressed(name: str) -> bool:
    return name.lower().endswith(COMPRESSED) and not name.startswith(".")
