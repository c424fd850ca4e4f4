"""Test results on disk: each image of a batch in its own file, named after its source file."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from util.util import save_image, tensor2im

if TYPE_CHECKING:
    from util.html import HTML

LAYOUTS = {"flat": "{stem}_{label}.png", "folders": "{label}/{stem}.png"}
LONGEST_STEM, LONGEST_LABEL = 180, 60  # bytes; file systems stop at 255


def save_images(
    webpage: HTML,
    visuals: Mapping[str, torch.Tensor | np.ndarray],
    image_path: str | os.PathLike | Iterable[str | os.PathLike],
    aspect_ratio: float = 1.0,
    width: int = 256,
    use_wandb: bool = False,
    *,
    layout: str = "flat",
    root: str | os.PathLike | Iterable[str | os.PathLike] | None = None,
) -> list[str]:
    """Write all images of a batch and add a section for each image to the page; return the files written.

    visuals: label -> tensor (N, C, H, W) in [-1, 1], or a single image that belongs to the first sample, as a numpy
    array (H, W, C) or a tensor (C, H, W).
    image_path: the N source files. Their sub-folders below `root` (a folder or several folders; the deepest that
    contains the file is used) are kept, so that equal names do not collide. Names that still collide get the
    ending or a number appended.
    """
    written = []
    for sample in write_samples(webpage, visuals, image_path, aspect_ratio, layout=layout, root=root):
        labels, names = list(sample.files), list(sample.files.values())
        webpage.add_section(sample.name, names, labels, names, width=width)
        if use_wandb:
            _to_wandb(sample.pictures)
        written += [os.path.join(webpage.get_image_dir(), name) for name in names]
    return written


class Sample(NamedTuple):
    """The written images of one sample of a batch."""

    name: str  # of the image, with its sub-folders
    files: dict[str, str]  # label -> file that a page shows, relative to the image folder
    pictures: dict[str, np.ndarray]  # label -> (H, W, C)
    exact: dict[str, str]  # label -> file with the values of the result, relative to the image folder


def write_samples(
    webpage: HTML,
    visuals: Mapping[str, torch.Tensor | np.ndarray],
    image_path: str | os.PathLike | Iterable[str | os.PathLike],
    aspect_ratio: float = 1.0,
    *,
    layout: str = "flat",
    root: str | os.PathLike | Iterable[str | os.PathLike] | None = None,
    exact: Any = None,
) -> Iterator[Sample]:
    """Write the images of a batch as save_images() does, without a section on the page.

    `exact` (data.outputs.ExactFiles) decides which results need another format than 8-bit PNG; the page then shows an
    8-bit preview in ../previews, beside the image folder.
    """
    paths = [image_path] if isinstance(image_path, str | os.PathLike) else list(image_path)
    for index, pictures in enumerate(pictures_of(visuals)):
        path = os.fspath(paths[min(index, len(paths) - 1)]) if paths else "image"
        stem, names = _free_names(webpage.taken, _stems(path, root), list(pictures), layout)
        notes = exact.notes(path) if exact is not None else {}
        files, shown = {}, {}
        for (label, picture), name in zip(pictures.items(), names):
            shown[label] = files[label] = name
            visual = visuals[label]
            own = exact(_one(visual, index), path) if exact is not None and isinstance(visual, torch.Tensor) else None
            if own is not None:
                ending, write = own
                files[label], shown[label] = os.path.splitext(name)[0] + ending, f"../previews/{name}"
                write(_place(webpage, files[label]))
            save_image(picture, _place(webpage, shown[label]), aspect_ratio, **notes)
        yield Sample(stem, shown, pictures, files)


def pictures_of(visuals: Mapping[str, torch.Tensor | np.ndarray]) -> Iterator[dict[str, np.ndarray]]:
    """Yields label -> 8-bit image (H, W, 3) for each sample of a batch."""
    for index in range(max(map(_count, visuals.values()), default=0)):
        yield {label: _picture(visual, index) for label, visual in visuals.items() if index < _count(visual)}


def clean_name(text: str, longest: int = LONGEST_STEM) -> str:
    """Make a valid path component: no separators, no control characters, not `.` or `..`, at most `longest` bytes."""
    text = re.sub(r"[/\\\x00-\x1f\x7f]", "_", text)
    if len(os.fsencode(text)) > longest:
        text = os.fsencode(text)[:longest].decode("utf-8", "ignore")
    return text if text.strip(".") else "_" * max(1, len(text))


def _count(visual):
    return 1 if visual.ndim == 3 else len(visual)


def _picture(visual, index):
    return tensor2im(_one(visual, index))


def _one(visual, index):
    return visual if visual.ndim == 3 else visual[index]


def _place(webpage, name):
    target = os.path.normpath(os.path.join(webpage.get_image_dir(), name))
    os.makedirs(os.path.dirname(target), exist_ok=True)
    return target


def _stems(path, root):
    """Candidate names for the results of `path`, an infinite sequence: sub/a, sub/a_jpg, sub/a_2, sub/a_3, ..."""
    folder, name = os.path.split(below(path, root))
    parts = [clean_name(part) for part in folder.split(os.sep) if part]
    stem, ending = os.path.splitext(name)
    yield "/".join(parts + [clean_name(stem)])
    yield "/".join(parts + [clean_name(f"{stem}_{ending.lstrip('.')}")])
    number = 2
    while True:
        yield "/".join(parts + [f"{clean_name(stem)}_{number}"])
        number += 1


def below(path, root):
    """`path` relative to the deepest folder of `root` (one or several) that contains it, otherwise its file name."""
    path = os.path.abspath(path)
    roots = [root] if isinstance(root, str | os.PathLike) else root or []
    below = [os.path.relpath(path, os.path.abspath(each)) for each in roots if _contains(each, path)]
    return min(below, key=len, default=os.path.basename(path))


def _contains(root, path):
    return path.startswith(os.path.join(os.path.abspath(root), ""))


def _free_names(taken, stems, labels, layout):
    """The first stem for which no file is taken, and the names of its files relative to the image folder."""
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
