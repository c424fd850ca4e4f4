"""Score the translations of a model against real images, in pairs or as sets."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from util.errors import InputError, some_of
from util.metrics.meter import Meter, Sample, Settings, combine
from util.metrics.report import table
from util.metrics.table import CONTENT, PAIR, SET
from util.show.results import below

NAMED = 3  # pairs whose names differ, in the message about them


class Scoring:
    """Call ``add()`` for each batch; ``result()`` returns the scores, or None without metrics.

    The real image of a sample is the truth of its translation if both come from the same file, or from files of the
    same name. Otherwise the metrics of pairs are refused.
    """

    def __init__(
        self,
        names: list[str],
        settings: Settings,
        scored: tuple[str, tuple[str, str | None]] | None,
        roots: list[str],
        flag: str,
        with_endings: bool = False,
    ) -> None:
        """`scored`: (label of the translation, (label of its input, label of a real image of its domain)).

        `roots`: the image folders; an image is named by its path below them. `flag` is named in messages.
        `with_endings`: names keep the ending of the file.
        """
        self.names, self.settings, self.roots, self.flag = names, settings, roots, flag
        self.meter = Meter(names, settings)
        self.with_endings = with_endings
        if scored is not None:
            self.fake, (self.source, self.real) = scored
        self._unpaired: list[str] = []
        self._announced = False  # whether the rule for pairs was printed

    def add(self, pictures: list[dict[str, np.ndarray]], paths: list, batch: dict, names: list | None = None) -> None:
        """`pictures`: for each sample, label -> 8-bit image (H, W, 3); `paths`: the translated files; `batch`: their
        batch from the data set; `names`: the names of the samples in the result, by default those of the files."""
        if not self.names:
            return
        others = _other_paths(batch, paths)
        for index, sample in enumerate(pictures):
            self._add(sample, os.fspath(paths[index]), others[index], names and names[index])

    def add_files(self, saved: list, paths: list, batch: dict, path_of: Callable, opener: Callable) -> None:
        """As add(), for samples that a result page has written: opener(path_of(file)) reads an image."""
        if not self.names:
            return
        wanted = (self.fake, self.source, self.real)
        pictures = [
            {label: np.asarray(opener(path_of(file))) for label, file in each.files.items() if label in wanted}
            for each in saved
        ]
        self.add(pictures, paths, batch, [each.name for each in saved])

    def _add(self, pictures, path, other, name):
        if self.fake not in pictures:
            raise InputError(f"{self.flag}: there is no {self.fake} to score; the images of its input are missing")
        fake, real = pictures[self.fake], pictures.get(self.real)
        in_pairs = self.meter.needs(PAIR)
        for needing in [*in_pairs, *self.meter.needs(SET)] if real is None else []:
            raise InputError(
                f"{self.flag} {needing}: it compares translations with real images, and this test has none; "
                "scripts/evaluate.py compares folders"
            )
        if in_pairs:
            self._check_pair(path, other, fake, real)
        source = pictures.get(self.source) if self.meter.needs(CONTENT) else None
        if source is not None:
            _check_size(self.source, self.fake, path, source, fake)
        self.meter.add(Sample(name or self._name(path), fake, real if in_pairs else None, source))
        if real is not None:
            self.meter.add_real(other, real)

    def _name(self, path):
        name = below(path, self.roots)
        return (name if self.with_endings else os.path.splitext(name)[0]).replace(os.sep, "/")

    def _check_pair(self, path, other, fake, real):
        """Both images of a pair must have the same name and size; they may come from the same file."""
        own, its = (os.path.splitext(below(each, self.roots))[0] for each in (path, other))
        if own != its:
            self._unpaired.append(f"{path} and {other}")
            if len(self._unpaired) == NAMED:
                self._refuse()
        elif path != other and not self._announced:
            self._announced = True
            print(f"{self.flag} {','.join(self.meter.needs(PAIR))}: images of equal names are compared as pairs")
        _check_size(self.real, self.fake, path, real, fake)

    def _refuse(self):
        raise InputError(
            f"{self.flag} {','.join(self.meter.needs(PAIR))}: they compare pairs of images, and the names of the pairs "
            f"differ: {some_of(self._unpaired, NAMED)}; choose metrics of sets, such as kid, or edges"
        )

    def take(self) -> dict:
        """The measurements since the last call (Meter.take()). Raises InputError if names of pairs differ."""
        if self._unpaired:
            self._refuse()
        return self.meter.take()

    def scores(self) -> dict:
        """The scores of the samples since the last call: {"metrics": ..., "images": ..., "skipped": ...}."""
        return combine(self.names, self.take(), self.settings)

    def result(self) -> dict | None:
        """Print and return the scores of a test; None without metrics."""
        if not self.names:
            return None
        scores = self.scores()
        print(table(scores))
        return scores


def _check_size(label, fake_label, path, image, fake):
    if image.shape[:2] != fake.shape[:2]:
        sizes = ["{1}x{0}".format(*each.shape) for each in (fake, image)]
        raise InputError(f"{path}: {fake_label} has {sizes[0]} pixels, {label} has {sizes[1]}; they can't be compared")


def _other_paths(batch: dict, paths: list) -> list[str]:
    """The files of the real images in a batch whose files `paths` were translated; `paths` if a file holds both."""
    found: list[Any] = [list(batch[key]) for key in ("A_paths", "B_paths") if key in batch]
    others = [each for each in found if each != list(paths)]
    return [os.fspath(path) for path in (others[0] if others else paths)]
