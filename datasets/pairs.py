"""Functions that the programs of this folder share: find images, join A and B, run several processes, list names."""

import os
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from PIL import Image

from data.pictures import open_image
from util.errors import InputError
from util.show.bar import Bar

SHOWN = 20  # names that are listed


def find_images(folder, flag):
    """{path below the folder, with slashes: file} of all images in it; InputError names the flag."""
    from data.image_folder import make_dataset  # imported here, because it imports torch: spread() starts processes

    if not os.path.isdir(folder):
        raise InputError(f"{flag} {folder}: there is no such folder")
    found = {Path(os.path.relpath(path, folder)).as_posix(): path for path in make_dataset(folder)}
    if not found:
        raise InputError(f"{flag} {folder}: no images in it")
    return found


def stem(name):
    return os.path.splitext(name)[0]


def by_stem(names):
    """{name without extension: name}; of several names with one stem, the first in order."""
    return {stem(name): name for name in sorted(names, reverse=True)}


def join(A, B, resize=False):
    """The image with A on the left and B on the right; `resize` scales B to A's size, otherwise sizes must be equal."""
    if A.size != B.size:
        if not resize:
            raise InputError(f"A is {A.width} x {A.height}, B is {B.width} x {B.height}")
        B = B.resize(A.size, Image.Resampling.BICUBIC)
    both = Image.new("RGB", (2 * A.width, A.height))
    both.paste(A, (0, 0))
    both.paste(B, (A.width, 0))
    return both


def save(image, path, **how):
    """Write an image in the format of the path's extension; JPEG with quality 95 and without chroma subsampling."""
    path = Path(path)
    kind = Image.registered_extensions().get(path.suffix.lower())
    usual = {"JPEG": {"quality": 95, "subsampling": 0}, "WEBP": {"lossless": True}}.get(kind, {})
    beside = path.with_name(f".writing_{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(beside, kind, **{**usual, **how})
        beside.replace(path)  # without fsync, which would take most of the time: the file can be made again
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise InputError(f"{path}: can't be written ({error.strerror or error}); is the disk full?") from error


def join_files(task, resize=False):
    """`task` is (file of A, file of B, file to write). Returns None, or the error in one line."""
    path_A, path_B, target = task
    try:
        save(join(open_image(path_A), open_image(path_B), resize), target)
    except InputError as error:
        return str(error)
    return None


def spread(work, tasks, processes, what):
    """[work(task) for task in tasks] by several processes, with a progress bar."""
    counted = Bar(len(tasks), "images", what).over
    if processes <= 1 or len(tasks) < 2 * processes:
        return [work(task) for task in counted(tasks)]
    with ProcessPoolExecutor(processes) as pool:
        return list(counted(pool.map(work, tasks, chunksize=min(16, len(tasks) // processes))))


def join_all(tasks, processes, resize, what="joining"):
    """Join the pairs {name: task} and list those that failed; returns the number of joined pairs."""
    reasons = spread(partial(join_files, resize=resize), list(tasks.values()), processes, what)
    failed = [f"{name}: {reason}" for name, reason in zip(tasks, reasons) if reason]
    tell(failed, "not joined" + ("" if resize else " (--resize scales B to A's size)"))
    return len(tasks) - len(failed)


def tell(names, what):
    """Print the number of names, with `what`, and the first SHOWN of them."""
    if names:
        print(f"{len(names)} {what}:")
        for name in names[:SHOWN]:
            print(f"  {name}")
        if len(names) > SHOWN:
            print(f"  and {len(names) - SHOWN} more")


def default_processes():
    return min(8, os.cpu_count() or 1)
