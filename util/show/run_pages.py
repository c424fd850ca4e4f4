"""Find the images in a run's web folder, by epoch and by fixed sample, for programs that show them again."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import Any

import numpy as np
from PIL import Image

EPOCH = re.compile(r"epoch(\d+)_(.+)\.png")
SAMPLE = re.compile(r"sample(\d+)(?:_epoch(\d+))?_(.+)\.png")


def epochs_of(run: str) -> dict[int, dict[str, str]]:
    """{epoch: {label: path}} of the images in web/images of a run."""
    return {epoch: files for epoch, files in sorted(_found(run)[0].items())}


def samples_of(run: str) -> dict[int, dict[int | None, dict[str, str]]]:
    """{number of the fixed sample: {epoch: {label: path}}}; epoch None: images that are the same in all epochs."""
    return _found(run)[1]


def in_order(labels: Iterable[str]) -> list[str]:
    """The labels in the order real_A, fake_B, real_B, fake_A, then the others by name."""
    first = ("real_A", "fake_B", "real_B", "fake_A")
    return sorted(labels, key=lambda label: (first.index(label) if label in first else len(first), label))


def newest_pictures(run: str) -> tuple[dict[str, np.ndarray] | None, dict[str, np.ndarray] | None]:
    """The images of the newest epoch by label, and the fixed samples of their newest epoch; None if there are none."""
    epochs, samples = _found(run)
    files = epochs[max(epochs)] if epochs else {}
    pictures = {label: load(files[label]) for label in in_order(files)} or None
    fixed: dict[str, np.ndarray] = {}
    for number, by_epoch in sorted(samples.items()):
        newest = max((epoch for epoch in by_epoch if epoch is not None), default=None)
        files = {**by_epoch.get(None, {}), **by_epoch.get(newest, {})}
        fixed |= {f"{label} {number}": load(files[label]) for label in in_order(files)}
    return pictures, fixed or None


def load(path: str) -> np.ndarray:
    """Read an 8-bit image (H, W, 3)."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def _found(run: str) -> tuple[dict[int, dict[str, str]], dict[int, dict[int | None, dict[str, str]]]]:
    folder = os.path.join(run, "web", "images")
    epochs: dict[int, dict[str, str]] = {}
    samples: dict[int, dict[Any, dict[str, str]]] = {}
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
        path = os.path.join(folder, name)
        if match := EPOCH.fullmatch(name):
            epochs.setdefault(int(match[1]), {})[match[2]] = path
        elif match := SAMPLE.fullmatch(name):
            epoch = int(match[2]) if match[2] else None
            samples.setdefault(int(match[1]), {}).setdefault(epoch, {})[match[3]] = path
    return epochs, samples
