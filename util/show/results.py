"""Results on disk: every image of a batch to its own file, under a name that says where it came from."""

import os
import re

from util.util import save_image, tensor2im

LAYOUTS = {"flat": "{stem}_{label}.png", "folders": "{label}/{stem}.png"}
LONGEST_STEM, LONGEST_LABEL = 180, 60  # bytes; file systems stop at 255


def save_images(
    webpage, visuals, image_path, aspect_ratio=1.0, width=256, use_wandb=False, *, layout="flat", root=None
):
    """Write all images of a batch and list them on the page, a section per image; returns the files written.

    visuals: label -> tensor (N, C, H, W) in [-1, 1], or one picture for the first image alone, as a numpy
    array (H, W, C) or a tensor (C, H, W).
    image_path: the N files they were made from. Below `root` (a folder, or several: the deepest that fits counts)
    their sub-folders are kept, so that equal names don't meet; those that still do get their ending or a number.
    """
    paths = [image_path] if isinstance(image_path, str | os.PathLike) else list(image_path)
    written = []
    for index in range(max(map(_count, visuals.values()), default=0)):
        path = os.fspath(paths[min(index, len(paths) - 1)]) if paths else "image"
        pictures = {label: _picture(visual, index) for label, visual in visuals.items() if index < _count(visual)}
        stem, names = _free_names(webpage.taken, _stems(path, root), list(pictures), layout)
        for name, picture in zip(names, pictures.values()):
            target = os.path.join(webpage.get_image_dir(), name)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            save_image(picture, target, aspect_ratio)
            written.append(target)
        webpage.add_section(stem, names, list(pictures), names, width=width)
        if use_wandb:
            _to_wandb(pictures)
    return written


def clean_name(text, longest=LONGEST_STEM):
    """A name usable as one part of a path: no separators, no control characters, neither `.` nor `..`, not too long."""
    text = re.sub(r"[/\\\x00-\x1f\x7f]", "_", text)
    if len(os.fsencode(text)) > longest:
        text = os.fsencode(text)[:longest].decode("utf-8", "ignore")
    return text if text.strip(".") else "_" * max(1, len(text))


def _count(visual):
    return 1 if visual.ndim == 3 else len(visual)


def _picture(visual, index):
    return tensor2im(visual if visual.ndim == 3 else visual[index])


def _stems(path, root):
    """Names to try for the results of `path`, without end: sub/a, then sub/a_jpg, then sub/a_2, sub/a_3, ..."""
    folder, name = os.path.split(_below(path, root))
    parts = [clean_name(part) for part in folder.split(os.sep) if part]
    stem, ending = os.path.splitext(name)
    yield "/".join(parts + [clean_name(stem)])
    yield "/".join(parts + [clean_name(f"{stem}_{ending.lstrip('.')}")])
    number = 2
    while True:
        yield "/".join(parts + [f"{clean_name(stem)}_{number}"])
        number += 1


def _below(path, root):
    """`path` relative to the deepest of the roots that contains it; just its name if none does."""
    path = os.path.abspath(path)
    roots = [root] if isinstance(root, str | os.PathLike) else root or []
    below = [os.path.relpath(path, os.path.abspath(each)) for each in roots if _contains(each, path)]
    return min(below, key=len, default=os.path.basename(path))


def _contains(root, path):
    return path.startswith(os.path.join(os.path.abspath(root), ""))


def _free_names(taken, stems, labels, layout):
    """The first stem all of whose files are free, and those files' names relative to the image folder."""
    for stem in stems:
        folder, name = os.path.split(stem)
        names = []
        for label in labels:
            label = clean_name(label, LONGEST_LABEL)
            file = LAYOUTS[layout].format(stem=stem if layout == "folders" else name, label=label)
            names.append(file if layout == "folders" or not folder else f"{folder}/{file}")
        if taken.isdisjoint(names):
            taken.update(names)
            return stem, names


def _to_wandb(pictures):
    import wandb

    if wandb.run is not None:
        wandb.log({label: wandb.Image(picture) for label, picture in pictures.items()})
