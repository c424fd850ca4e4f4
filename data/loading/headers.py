"""A first look at a data set's files: what isn't an image is found in seconds, and not at epoch 7."""

import inspect
import os
import random
import time
from typing import Any

from PIL import Image

from data import codecs
from data.loading.archive import source
from data.pictures import FORMATS, reason
from util.errors import InputError

SECONDS = 3  # of looking before a training; scripts/check_data.py takes the time to look at everything
MOST = 100_000  # more can't be looked at in that time
NAMED = 5


def files_of(dataset: Any) -> list[str]:
    """The image files that a data set declares (BaseDataset.files), each once; an empty list where they are unknown.

    Data sets of other programs may use the names `files` and `roots` for things of their own: these are left out.
    """
    method = getattr(dataset, "files", None)
    own = method is not None and not inspect.ismethod(method)  # an attribute of that name
    return [] if method is None or own else list(dict.fromkeys(map(os.fspath, method())))


def roots_of(dataset: Any, dataroot: str) -> list[str]:
    """The folders that a data set declares as its `roots`, else `dataroot`."""
    roots = getattr(dataset, "roots", None)
    declared = isinstance(roots, list) and all(isinstance(root, str) for root in roots)
    return roots if declared and roots else [dataroot]


def check_headers(dataset: Any, skip_bad: bool = False) -> None:
    """InputError with the files whose headers can't be read; with `skip_bad` it is only said."""
    paths = files_of(dataset)
    bad, seen, deadline = [], 0, time.monotonic() + SECONDS
    for path in random.Random(0).sample(paths, min(len(paths), MOST)):  # time may run out: not the first folder only
        if time.monotonic() > deadline:
            break
        seen += 1
        if why := trouble(path):
            bad.append(f"{path}: {why}")
    if seen < len(paths):
        print(f"looked at {seen} of {len(paths)} images before starting; scripts/check_data.py looks at all")
    if not bad:
        return
    more = f"; and {len(bad) - NAMED} more" if len(bad) > NAMED else ""
    line = f"{len(bad)} of {seen} images can't be read: {'; '.join(sorted(bad)[:NAMED])}{more}"
    if not skip_bad:
        raise InputError(f"{line}. scripts/check_data.py lists all, --skip_bad_images trains without them")
    print(f"--skip_bad_images: {line}")


def trouble(path: str) -> str | None:
    """Why the header of an image can't be read, or None; its pixels are not looked at."""
    try:
        file = source(path)
        if codecs.kind_of(file, path) is not None:  # its decoder has no first look
            return None
        with Image.open(file, formats=FORMATS):
            return None
    except MemoryError:
        raise
    except Exception as error:  # decoders raise whatever their parsing stumbles over
        return reason(error, path)
