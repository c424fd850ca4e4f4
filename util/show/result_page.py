"""The page of a test: ``<results_dir>/<name>/<phase>_<epoch>/index.html`` with the pictures of every image.

A results folder belongs to one test. It is written beside under a temporary name and takes the place of the former
results as a whole, so that a page never stands beside pictures of another test, and a test that was stopped leaves
the former results as they were. test_opt.json in it holds the options of the test and the list of its files.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import tempfile
from argparse import Namespace
from typing import Any

from util.errors import InputError
from util.files import UNFINISHED, cannot_write, sweep, write_text
from util.html import HTML
from util.show.results import save_images

EVERY = 5  # images between two lines on the console
OPTIONS = "test_opt.json"
PAGE = ("index.html", "page.css", OPTIONS, "metrics.json")  # files of a results folder beside its images


class ResultPage:
    """``add()`` the pictures of each batch, then ``close()``. Raises InputError where the folder can't be written."""

    def __init__(self, opt: Namespace, available: int, roots: list[str]) -> None:
        """`available` images are in the data set, below the folders `roots`, whose sub-folders the results keep."""
        self.opt = opt
        self.folder = folder_of(opt)
        self.available = available
        self.wanted = min(self.available, opt.num_test)
        self.done = 0
        self._roots = roots
        refuse_foreign_files(self.folder)
        try:
            parent = os.path.dirname(self.folder)
            os.makedirs(parent, exist_ok=True)
            sweep(parent)
            self._beside = tempfile.mkdtemp(dir=parent, prefix=UNFINISHED)
        except OSError as error:
            raise InputError(cannot_write(self.folder, error)) from None
        os.chmod(self._beside, 0o755)
        title = f"Experiment = {opt.name}, Phase = {opt.phase}, Epoch = {opt.epoch}"
        self._html = HTML(self._beside, title)

    def add(self, visuals: dict, paths: list, images: int) -> None:
        """The pictures of a batch: name -> (N, C, H, W), the files that they were made from, and N."""
        if self.done % EVERY == 0:
            print(f"processing ({self.done:04d})-th image... {paths}")
        opt = self.opt
        try:
            save_images(
                self._html,
                visuals,
                paths,
                aspect_ratio=opt.aspect_ratio,
                width=opt.display_winsize,
                layout=opt.results_layout,
                root=self._roots,
            )
        except OSError as error:
            raise InputError(cannot_write(self.folder, error)) from error
        self.done += images

    def close(self) -> None:
        """Put the results in their place; raises InputError where a data set ended before its own length."""
        try:
            self._html.save()
            write_text(os.path.join(self._beside, OPTIONS), self._description())
            replace_folder(self._beside, self.folder)
        except OSError as error:
            raise InputError(cannot_write(self.folder, error)) from error
        print(f"wrote {self.done} of {self.available} images: {os.path.join(self.folder, 'index.html')}")
        if self.done < self.wanted:
            raise InputError(f"only {self.done} of {self.wanted} images could be tested")

    def _description(self) -> str:
        options = {name: _plain(value) for name, value in sorted(vars(self.opt).items())}
        return json.dumps({"options": options, "files": sorted({*files_in(self._beside), OPTIONS})}, indent=1) + "\n"


def folder_of(opt: Namespace) -> str:
    """Where the page of a test lies."""
    tag = f"{opt.phase}_{opt.epoch}" + (f"_iter{opt.load_iter}" if opt.load_iter > 0 else "")
    return os.path.join(opt.results_dir, opt.name, tag)


def refuse_foreign_files(folder: str) -> None:
    """InputError where a results folder holds files that no test wrote: replacing the folder would delete them."""
    known = _listed(folder)
    foreign = [name for name in files_in(folder) if name not in known and not (known is NO_LIST and _usual(name))]
    if foreign:
        shown = ", ".join(foreign[:3]) + (f" and {len(foreign) - 3} more" if len(foreign) > 3 else "")
        raise InputError(
            f"{folder}: it would be replaced by the new results, but holds files of another origin ({shown}); "
            "move them away, or choose another --results_dir"
        )


NO_LIST: frozenset[str] = frozenset()


def _listed(folder: str) -> frozenset[str]:
    """The files that the test in a folder wrote; NO_LIST for a folder of an earlier version, which kept no list."""
    try:
        with open(os.path.join(folder, OPTIONS), encoding="utf-8") as file:
            return frozenset(json.load(file)["files"]) | {OPTIONS, "metrics.json"}
    except (OSError, ValueError, KeyError, TypeError):
        return NO_LIST


def _usual(name: str) -> bool:
    return name in PAGE or (name.startswith("images/") and name.endswith(".png"))


def files_in(folder: str) -> list[str]:
    """The files below a folder, relative to it, with forward slashes."""
    found = [os.path.relpath(os.path.join(at, name), folder) for at, _, names in os.walk(folder) for name in names]
    return sorted(name.replace(os.sep, "/") for name in found)


def replace_folder(new: str, place: str) -> None:
    """Rename `new` to `place`; the folder that was there is deleted afterwards."""
    former = None
    if os.path.isdir(place):
        former = tempfile.mkdtemp(dir=os.path.dirname(place), prefix=UNFINISHED)
        os.replace(place, os.path.join(former, "former"))
    os.replace(new, place)
    if former is not None:
        shutil.rmtree(former, ignore_errors=True)


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if value is None or isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return str(value)
