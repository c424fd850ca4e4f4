"""Measure images one after another, in one process or in several, and combine the measurements.

    meter = Meter(["l1", "kid"], settings)
    meter.add(Sample("a", fake, real))          # in any order, and in any process
    scores = combine(meter.names, merged(gather(meter.take())), settings)

The scores do not depend on the order of the images, on the batches of the feature network, or on the number of
processes.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch

from util.errors import InputError
from util.metrics import distributions, intervals, judge, pairs, segmentation
from util.metrics.provenance import Unavailable
from util.metrics.table import CONTENT, METRICS, PAIR, SET

MAKERS = {
    **{"l1": pairs.l1, "psnr": pairs.psnr, "ssim": pairs.ssim, "ms_ssim": pairs.ms_ssim, "lpips": pairs.lpips},
    "edges": pairs.edges,
}


class Settings(NamedTuple):
    """Settings of all metrics. `judge` is a file of scripts/train_judge.py; `resamples` of the bootstrap."""

    metric_weights: str | None = None
    judge: str | None = None
    device: torch.device = torch.device("cpu")
    batch_size: int = 16
    seed: int = 0
    resamples: int = 1000
    ignored: int = segmentation.IGNORED


class Sample(NamedTuple):
    """A translation and the images to compare it with: 8-bit arrays (H, W, 3)."""

    name: str
    fake: np.ndarray
    real: np.ndarray | None = None  # the true translation, for metrics of pairs
    source: np.ndarray | None = None  # the image that was translated, for metrics of content


class Features:
    """The features of the images of two sides ("real" and "fake") from a network, by the names of the images."""

    def __init__(self, network: Any, batch_size: int, device: Any) -> None:
        self.network, self.batch_size, self.device = network, batch_size, device
        self.found: dict[str, dict[str, np.ndarray]] = {"real": {}, "fake": {}}
        self._waiting: dict[str, list] = {"real": [], "fake": []}  # (name, image), all of one size

    def add(self, side: str, name: str, image: np.ndarray) -> None:
        waiting = self._waiting[side]
        if waiting and (len(waiting) == self.batch_size or waiting[0][1].shape != image.shape):
            self.flush(side)
        self._waiting[side].append((name, image))

    def flush(self, side: str) -> None:
        waiting, self._waiting[side] = self._waiting[side], []
        if waiting:
            names, images = zip(*waiting)
            rows = distributions.features(images, self.network, self.device)
            self.found[side].update(zip(names, rows))


class Meter:
    """Measures images with the metrics `names`. Metrics that can't be computed are in `skipped`, with the reason.

    Raises InputError for a wrong setting, for example a path that does not exist.
    """

    def __init__(self, names: list[str], settings: Settings) -> None:
        self.names, self.settings = names, settings
        self.skipped: dict[str, str] = {}  # name -> reason
        self.records: dict[str, dict] = {}  # name -> provenance
        self._pairs: dict[str, pairs.PairMetric] = {}
        self._features: dict[str, Features] = {}  # by the metric, or "inception" for fid and kid, which share it
        for name in names:
            if name in MAKERS:
                self._try(name, lambda name=name: self._make_pair(name))
        inception = [name for name in names if METRICS[name].kind == SET and not METRICS[name].judge]
        for name in inception:
            self._try(name, lambda name=name: self._make_inception(name))
        if any(METRICS[name].judge for name in names):
            self._make_judge()
        self._start()

    def _start(self) -> None:
        self.values: dict[str, dict[str, float]] = {name: {} for name in self._pairs}

    def _try(self, name, make):
        try:
            make()
        except Unavailable as error:
            self.skipped[name] = str(error)

    def _make_pair(self, name):
        self._pairs[name] = MAKERS[name](self.settings)
        self.records[name] = self._pairs[name].provenance

    def _make_inception(self, name):
        if "inception" not in self._features:
            network, self._record = distributions.inception(self.settings)
            self._features["inception"] = Features(network, self.settings.batch_size, self.settings.device)
        self.records[name] = self._record

    def _make_judge(self):
        network, record = judge.load(self.settings.judge, self.settings.device)
        for name, function in (("judge", network.is_target), ("judge_kid", network.features)):
            if name in self.names:
                self._features[name] = Features(function, self.settings.batch_size, self.settings.device)
                self.records[name] = dict(record)

    def needs(self, kind: str) -> list[str]:
        """The metrics of a kind that can be computed."""
        return [name for name in self.names if METRICS[name].kind == kind and name not in self.skipped]

    def add(self, sample: Sample) -> None:
        """Measure a translation. A metric that can't score this image is skipped for all images."""
        for name in self.needs(PAIR) + self.needs(CONTENT):
            other = sample.real if METRICS[name].kind == PAIR else sample.source
            if other is None:
                continue
            try:
                self.values[name][sample.name] = self._pairs[name].measure(sample.fake, other)
            except Unavailable as error:
                self.skipped[name] = f"{error} ('{sample.name}')"
        for features in self._features.values():
            features.add("fake", sample.name, sample.fake)

    def add_real(self, name: str, image: np.ndarray) -> None:
        """Measure an image of the target domain, for metrics of sets; a name that was added before is ignored."""
        for key, features in self._features.items():
            if key != "judge" and name not in features.found["real"]:
                features.add("real", name, image)

    def take(self) -> dict:
        """The measurements since the last call, for merged() and combine(); those of real images are kept, too."""
        found: dict[str, Any] = {"values": self.values, "skipped": dict(self.skipped), "records": self.records}
        for features in self._features.values():
            for side in ("real", "fake"):
                features.flush(side)
        found["features"] = {
            key: {side: dict(each.found[side]) for side in each.found} for key, each in self._features.items()
        }
        for features in self._features.values():
            features.found["fake"] = {}
        self._start()
        return found


def merged(parts: list[dict]) -> dict:
    """The measurements of several processes as those of one."""
    whole: dict[str, Any] = {"values": {}, "skipped": {}, "features": {}, "records": parts[0]["records"]}
    for part in parts:
        whole["skipped"] |= part["skipped"]
        for name, values in part["values"].items():
            whole["values"].setdefault(name, {}).update(values)
        for key, sides in part["features"].items():
            for side, rows in sides.items():
                whole["features"].setdefault(key, {"real": {}, "fake": {}})[side].update(rows)
    return whole


def combine(names: list[str], measured: dict, settings: Settings) -> dict:
    """{"metrics": name -> value, interval, provenance; "images": image -> name -> value; "skipped": name -> reason}.

    Raises InputError if no image could be compared.
    """
    result: dict[str, dict] = {"metrics": {}, "images": {}, "skipped": dict(measured["skipped"])}
    for name in names:
        if name in result["skipped"]:
            continue
        record = dict(measured["records"][name])
        if METRICS[name].kind == SET:
            _add_distance(result, name, measured["features"][_network_of(name)], record, settings)
            continue
        each = measured["values"].get(name)
        if name == "judge":
            each = {image: float(value) for image, value in measured["features"]["judge"]["fake"].items()}
        if not each:
            raise InputError(f"--metrics {name}: there is no image to compare")
        _add_mean(result, name, each, record, settings)
    return result


def _network_of(name):
    return name if METRICS[name].judge else "inception"


def _add_mean(result, name, each, record, settings):
    """Add a metric that is the mean of a value per image."""
    each = dict(sorted(each.items()))
    scores = list(each.values())
    interval = intervals.of_mean(scores, settings.resamples, settings.seed)
    record |= {"samples": len(scores), "seed": settings.seed, "resamples": settings.resamples}
    result["metrics"][name] = {"value": math.fsum(scores) / len(scores), "interval": interval, "provenance": record}
    for image, value in each.items():
        result["images"].setdefault(image, {})[name] = value


def _add_distance(result, name, sides, record, settings):
    rows = [[row for _, row in sorted(sides[side].items())] for side in ("real", "fake")]
    kind = name.removeprefix("judge_")
    try:
        real, fake = (np.stack(each) if each else np.empty((0, 1)) for each in rows)
        result["metrics"][name] = distributions.compare(kind, real, fake, settings.resamples, settings.seed, record)
    except Unavailable as error:
        result["skipped"][name] = str(error)
