"""The page of a test: ``<results_dir>/<name>/<phase>_<epoch>/index.html`` with the translations of every image.

index.html shows them in a grid with a viewer, by scripts in assets/; plain.html needs no scripts.

A results folder holds the results of one test. It is written under a temporary name and then replaces the former
folder as a whole. A page is therefore never mixed with images of another test, and a test that is stopped does not
change the former results. test_opt.json in the folder holds the options of the test and the list of its files.
"""

from __future__ import annotations

import datetime
import json
import os
import shutil
import tempfile
import weakref
from argparse import Namespace
from typing import Any

from util.errors import InputError, some_of
from util.files import UNFINISHED, cannot_write, replacing, sweep, write_text
from util.flags import plain_options
from util.html import HTML
from util.metrics.report import write_scores
from util.show.bar import Bar
from util.show.page_files import FOLDER, DataFile, call, channels_shown, image_url, roles, write_page
from util.show.results import Sample, write_samples

EVERY = 5  # images between two lines on the console
OPTIONS = "test_opt.json"
METRICS = "metrics.json"
PAGE = ("index.html", "plain.html", "page.css", OPTIONS, METRICS)  # files of a results folder besides its images


class ResultPage:
    """Call ``add()`` for each batch, then ``close()``. Raises InputError if the folder can't be written."""

    def __init__(
        self, opt: Namespace, available: int, roots: list[str], exact: Any = None, translations: dict | None = None
    ) -> None:
        """`available`: the number of images in the data set; `roots`: its folders, whose sub-folders the results keep.

        `exact` writes results that 8-bit PNG can't hold; see write_samples(). `translations` are those that the model
        declares; see roles().
        """
        self.opt, self._translations = opt, translations
        self._exact = exact
        self.folder = folder_of(opt)
        self.available = available
        self.wanted = min(self.available, opt.num_test)
        self.done = 0
        self._roots = roots
        refuse_foreign_files(self.folder)
        try:
            self._open()
        except OSError as error:
            raise InputError(cannot_write(self.folder, error, flag="--results_dir")) from None
        self._bar = Bar(self.wanted, "images")
        self._labels: list[str] = []
        self._paired = False
        self._shown: dict[str, str] = {}  # label -> what a preview shows of an image that is not gray or RGB

    def _open(self) -> None:
        """Make the folder of the unfinished results and the files of the page."""
        opt, parent = self.opt, os.path.dirname(self.folder)
        os.makedirs(parent, exist_ok=True)
        mark = f"{UNFINISHED}{os.path.basename(self.folder)}."  # not of another epoch, which may be tested now
        sweep(parent, mark)
        self._beside = tempfile.mkdtemp(dir=parent, prefix=mark)
        weakref.finalize(self, shutil.rmtree, self._beside, ignore_errors=True)  # if the test is stopped
        os.chmod(self._beside, 0o755)
        title = f"Experiment = {opt.name}, Phase = {opt.phase}, Epoch = {opt.epoch}"
        self._html = HTML(self._beside, title, file="plain.html")
        write_page(self._beside, "results.html", f"{opt.name}: {opt.phase} {opt.epoch}")
        self._items = DataFile(self._beside, "items.js")

    def add(self, visuals: dict, paths: list, images: int, paired: bool = False) -> list[Sample]:
        """Write the images of a batch and return what was written.

        `visuals`: label -> (N, C, H, W); `paths`: the translated files; `images`: N; `paired`: whether the data set has
        the truth of each image.
        """
        if self.done % EVERY == 0 and not self._bar.on_terminal:
            print(f"processing ({self.done:04d})-th image... {paths}")
        opt, written = self.opt, []
        for label, visual in visuals.items():
            if visual.ndim == 4 and visual.shape[1] not in (1, 3):
                self._shown[label] = f"{label} shows {channels_shown(visual.shape[1])}"
        try:
            for sample in write_samples(
                self._html,
                visuals,
                paths,
                opt.aspect_ratio,
                layout=opt.results_layout,
                root=self._roots,
                exact=self._exact,
            ):
                self._add_sample(sample, paired)
                written.append(sample)
        except OSError as error:
            raise InputError(cannot_write(self.folder, error, flag="--results_dir")) from error
        self.done += images
        self._bar.update(images)
        return written

    def _add_sample(self, sample: Sample, paired: bool) -> None:
        labels, names = list(sample.files), list(sample.files.values())
        self._html.add_section(sample.name, names, labels, list(sample.exact.values()), width=self.opt.display_winsize)
        self._labels += [label for label in labels if label not in self._labels]
        self._paired = self._paired or paired
        height, width = next(iter(sample.pictures.values())).shape[:2]
        stretch = self.opt.aspect_ratio or 1
        size = [round(width * max(stretch, 1)), round(height / min(stretch, 1))]
        self._items.append("item", sample.name, {label: image_url(name) for label, name in sample.files.items()}, size)

    def image_path(self, name: str) -> str:
        """The path of an image of add() until close()."""
        return os.path.join(self._html.get_image_dir(), name)

    def close(self, scores: dict | None = None, left_out: int = 0) -> None:
        """Move the results to their place, with metrics.json if the translations were scored (`scores`).

        `left_out`: the number of images that could not be read. Raises InputError if the data set had fewer images than
        its length.
        """
        self._bar.close()
        try:
            if scores is not None:
                write_scores(os.path.join(self._beside, METRICS), scores)
            self._html.save()
            self._items.append("describe", self._page())
            show_metrics(self._beside)
            write_text(os.path.join(self._beside, OPTIONS), self._description())
            replace_folder(self._beside, self.folder)
        except OSError as error:
            raise InputError(cannot_write(self.folder, error, flag="--results_dir")) from error
        print(f"wrote {self.done} of {self.available} images: {os.path.join(self.folder, 'index.html')}")
        if self.done < min(self.wanted, self.available - left_out):
            raise InputError(f"only {self.done} of {self.wanted} images could be tested")

    def _page(self) -> dict[str, Any]:
        """The data for the page's scripts besides the images."""
        opt = self.opt
        words = [f"{self.done:,} of {self.available:,} images", f"phase {opt.phase}", f"epoch {opt.epoch}"]
        words += [f"{name} {getattr(opt, name)}" for name in ("model", "direction") if hasattr(opt, name)]
        exact = ["previews of 8 bits, exact files in images/"] if os.path.isdir(self._previews()) else []
        facts = [*words, datetime.datetime.now().strftime("%Y-%m-%d %H:%M"), *exact, *self._shown.values()]
        return {"facts": facts, "labels": self._labels, "roles": roles(self._labels, self._paired, self._translations)}

    def _previews(self) -> str:
        return os.path.join(self._beside, "previews")

    def _description(self) -> str:
        content = {"options": plain_options(self.opt), "files": sorted({*files_in(self._beside), OPTIONS})}
        return json.dumps(content, indent=1) + "\n"


def show_metrics(folder: str) -> None:
    """Copy metrics.json of a results folder to its page; call this whenever metrics.json was written."""
    path = os.path.join(folder, METRICS)
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            line = call("metrics", json.load(file))
        with replacing(os.path.join(folder, FOLDER, "metrics.js"), len(line)) as script:
            script.write(line)


def folder_of(opt: Namespace) -> str:
    """The results folder of a test."""
    tag = f"{opt.phase}_{opt.epoch}" + (f"_iter{opt.load_iter}" if opt.load_iter > 0 else "")
    return os.path.join(opt.results_dir, opt.name, tag)


def refuse_foreign_files(folder: str) -> None:
    """Raise InputError if a results folder holds files that no test wrote: replacing the folder would delete them."""
    known = _listed(folder)
    foreign = [name for name in files_in(folder) if name not in known and not (known is NO_LIST and _usual(name))]
    if foreign:
        raise InputError(
            f"{folder}: the new results would replace this folder, but it holds files that no test wrote "
            f"({some_of(foreign)}); move them away, or choose another --results_dir"
        )


NO_LIST: frozenset[str] = frozenset()


def _listed(folder: str) -> frozenset[str]:
    """The files that the test of a folder wrote; NO_LIST if an earlier version, which kept no list, wrote it."""
    try:
        with open(os.path.join(folder, OPTIONS), encoding="utf-8") as file:
            return frozenset(json.load(file)["files"]) | {OPTIONS, METRICS}
    except (OSError, ValueError, KeyError, TypeError):
        return NO_LIST


def _usual(name: str) -> bool:
    return name in PAGE or (name.startswith("images/") and name.endswith(".png"))


def files_in(folder: str) -> list[str]:
    """The files below a folder, relative to it, with forward slashes."""
    found = [os.path.relpath(os.path.join(at, name), folder) for at, _, names in os.walk(folder) for name in names]
    return sorted(name.replace(os.sep, "/") for name in found)


def replace_folder(new: str, place: str) -> None:
    """Rename the folder `new` to `place`; the former folder is deleted afterwards."""
    former = None
    if os.path.isdir(place):
        former = tempfile.mkdtemp(dir=os.path.dirname(place), prefix=UNFINISHED)
        os.replace(place, os.path.join(former, "former"))
    os.replace(new, place)
    if former is not None:
        shutil.rmtree(former, ignore_errors=True)
