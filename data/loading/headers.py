"""Check the headers of a data set's files before training, so that damaged files are found in seconds."""

import inspect
import os
import random
import time
from typing import Any

from PIL import Image

from data import codecs
from data.loading.archive import source
from data.pictures import FORMATS, reason
from util.errors import InputError, some_of

SECONDS = 3  # at most, for the check before a training; scripts/check_data.py checks everything
MOST = 100_000  # files: more than this can't be checked in that time
NAMED = 5  # files in the message


def files_of(dataset: Any) -> list[str]:
    """The image files that a data set declares (BaseDataset.files), each once; an empty list if they are unknown.

    In data sets of other programs, `files` and `roots` may be attributes with another meaning: they are ignored.
    """
    method = getattr(dataset, "files", None)
    return list(dict.fromkeys(map(os.fspath, method()))) if inspect.ismethod(method) else []


def roots_of(dataset: Any, dataroot: str) -> list[str]:
    """The folders that a data set declares as its `roots`, else `dataroot`."""
    roots = getattr(dataset, "roots", None)
    declared = isinstance(roots, list) and all(isinstance(root, str) for root in roots)
    return roots if declared and roots else [dataroot]


def check_headers(dataset: Any, skip_bad: bool = False) -> None:
    """Raise InputError with the files whose headers can't be read; with `skip_bad`, only print them."""
    paths = files_of(dataset)
    bad, seen, deadline = [], 0, time.monotonic() + SECONDS
    for path in random.Random(0).sample(paths, min(len(paths), MOST)):  # a sample, because the time may not suffice
        if time.monotonic() > deadline:
            break
        seen += 1
        if why := trouble(path):
            bad.append(f"{path}: {why}")
    if seen < len(paths):
        print(f"checked the headers of {seen} of {len(paths)} images; scripts/check_data.py checks all images in full")
    if not bad:
        return
    line = f"{len(bad)} of {seen} images can't be read: {some_of(sorted(bad), NAMED, '; ')}"
    if not skip_bad:
        raise InputError(f"{line}. scripts/check_data.py lists all, --skip_bad_images trains without them")
    print(f"--skip_bad_images: {line}")


def trouble(path: str) -> str | None:
    """The reason why the header of an image can't be read, or None; its pixels are not read."""
    try:
        file = source(path)
        if codecs.kind_of(file, path) is not None:  # the decoders of codecs.read can't read only a header
            return None
        with Image.open(file, formats=FORMATS):
            return None
    except MemoryError:
        raise
    except Exception as error:  # decoders raise many types of exceptions for damaged files
        return reason(error, path)
