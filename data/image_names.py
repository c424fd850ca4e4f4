"""Which names are those of images, of shards, and of archives that can't be shards."""

import os

EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".tif", ".tiff", ".webp")
IMG_EXTENSIONS = [spelling for extension in EXTENSIONS for spelling in (extension, extension.upper())]

SHARD = ".tar"
COMPRESSED = tuple(".tar." + kind for kind in "gz bz2 xz zst lz4 lzma z".split()) + (".tgz", ".tbz2", ".txz", ".tzst")


def is_image_file(filename):
    """Whether a name or path looks like an image; hidden files (.x.png, ._x.png) don't."""
    name = os.path.basename(filename)
    return name.lower().endswith(EXTENSIONS) and not name.startswith(".")


def is_shard(name):
    return name.lower().endswith(SHARD) and not name.startswith(".")


def is_compressed(name):
    return name.lower().endswith(COMPRESSED) and not name.startswith(".")
