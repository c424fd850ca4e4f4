"""The names of images, of shards (tar files), and of compressed archives, which can't be shards.

Users of the original programs add kinds of files in one of two ways, and both apply to every listing:
``data.image_folder.IMG_EXTENSIONS.append(".npy")``, or a function of their own as ``data.image_folder.is_image_file``.
"""

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from importlib.util import find_spec


def _exists(module: str) -> bool:
    """Whether a module, or a compiled part of a package such as "PIL._avif", is installed; imports nothing."""
    package, _, part = module.partition(".")
    spec = find_spec(package)
    folders = (spec.submodule_search_locations or []) if spec else []
    return any(not part or name.startswith(part + ".") for folder in folders for name in os.listdir(folder))


# Endings of formats that need more than the oldest Pillow, and the module that reads them.
OPTIONAL = {".avif": "PIL._avif", ".heic": "pillow_heif", ".heif": "pillow_heif"}
MENDS = {".avif": "Pillow 11.3 or newer", ".heic": "the package pillow-heif", ".heif": "the package pillow-heif"}
UNREAD = tuple(ending for ending, module in OPTIONAL.items() if not _exists(module))
OTHER_IMAGES = tuple(".gif .jp2 .jxl .psd .svg .tga .exr .hdr .pdf .cr2 .cr3 .nef .arw .dng .raf .orf .rw2".split())
EXTENSIONS = (
    *(".jpg", ".jpeg", ".jfif", ".png", ".ppm", ".bmp", ".tif", ".tiff", ".webp", ".npy", ".npz"),
    *(ending for ending in OPTIONAL if ending not in UNREAD),
)
IMG_EXTENSIONS = [spelling for extension in EXTENSIONS for spelling in (extension, extension.upper())]

SHARD = ".tar"
COMPRESSED = tuple(".tar." + kind for kind in "gz bz2 xz zst lz4 lzma z".split()) + (".tgz", ".tbz2", ".txz", ".tzst")


def is_image_file(filename: str) -> bool:
    """Whether a name or path has an ending of IMG_EXTENSIONS; hidden files (.x.png, ._x.png) do not count."""
    name = os.path.basename(filename)
    return name.lower().endswith(_endings()) and not name.startswith(".")


def image_rule() -> Callable[[str], bool]:
    """The function that selects images in listings: is_image_file, or its replacement in data.image_folder."""
    public = sys.modules.get("data.image_folder")
    return getattr(public, "is_image_file", is_image_file)


def rule_key() -> list[str] | None:
    """The endings on which a stored listing depends; None for a user's function, whose listings are not stored."""
    return sorted(_endings()) if image_rule() is is_image_file else None


def unread_ending(filename: str) -> str | None:
    """The ending of an image's name if listings leave such images out or their package is missing, else None."""
    ending = os.path.splitext(filename)[1].lower()
    unread = ending in UNREAD or ending in OTHER_IMAGES
    return ending if unread and not os.path.basename(filename).startswith(".") else None


def about_unread(names: Iterable[str]) -> str:
    """The images among `names` that listings leave out: "3 .gif files, which are not read: ..."; "" for none."""
    endings = Counter(ending for name in names if (ending := unread_ending(name)))
    mends = [f"{ending} needs {MENDS[ending]}" for ending in UNREAD if ending in endings]
    mends += ["convert them, for example to .png"] * (not mends)
    counts = ", ".join(f"{count} {ending}" for ending, count in endings.most_common())
    return f"{counts} files, which are not read: {'; '.join(mends)}" if endings else ""


_known: tuple[int, tuple[str, ...]] = (0, ())  # (length of IMG_EXTENSIONS, its distinct entries in lower case)


def _endings() -> tuple[str, ...]:
    global _known
    if _known[0] != len(IMG_EXTENSIONS):
        _known = len(IMG_EXTENSIONS), tuple({ending.lower() for ending in IMG_EXTENSIONS})
    return _known[1]


def is_shard(name: str) -> bool:
    return name.lower().endswith(SHARD) and not name.startswith(".")


def is_compressed(name: str) -> bool:
    return name.lower().endswith(COMPRESSED) and not name.startswith(".")
