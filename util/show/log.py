"""The loss log: a line of text and a JSON record for each time that losses are printed.

loss_log.jsonl holds one record per line; readers skip a line that does not parse (a crash may truncate a line):

    {"epoch": 1, "iters": 100, "images": 100, "x": 0.25, "losses": {"G": 0.7}, "lr": 0.0002, "time": 0.1, "data": 0.01,
     "memory": 512}

iters counts the images of the epoch, images those of the whole run. x = epoch - 1 + iters / dataset size, the number of
epochs done, is the position on a plot (null if the size is unknown); records of earlier versions have an x that is
larger by one. time and data are the seconds of computing and loading per image, lr is the learning rate, memory is in
MiB (both null if unknown). A loss that is not finite is stored as "nan", "inf" or "-inf", which float() reads, because
JSON lacks such numbers.
"""

import datetime
import json
import math
import os
from collections.abc import Mapping
from typing import Any

from util.files import write_text
from util.metrics.report import write_scores


class LossLog:
    """loss_log.txt and loss_log.jsonl in a run's folder; with `resumed` the existing files are continued."""

    def __init__(self, folder: str, resumed: bool = False):
        self.text_path = os.path.join(folder, "loss_log.txt")
        self.json_path = os.path.join(folder, "loss_log.jsonl")
        os.makedirs(folder, exist_ok=True)
        if not resumed and os.path.exists(self.json_path):  # the curves must not contain points of another run
            os.replace(self.json_path, os.path.join(folder, "loss_log.previous.jsonl"))
        now = datetime.datetime.now().isoformat(timespec="seconds")
        _append_line(self.text_path, f"================ Training Loss ({now}) ================")

    def forget_after(self, images: int) -> None:
        """Drop the records after `images` images: the run resumes there and writes them again."""
        if os.path.exists(self.json_path):
            _forget(self.json_path, "images", images)

    def write(self, line: str, record: dict[str, Any]) -> None:
        _append_line(self.text_path, line)
        _append_line(self.json_path, json.dumps(record, allow_nan=False))

    def note(self, line: str) -> None:
        """Write a line to loss_log.txt only."""
        _append_line(self.text_path, line)


class MetricsLog:
    """metrics.jsonl in a run's folder, a record per evaluation, and metrics.json with all scores of the newest.

    A record: {"images_seen": 5000, "epoch": 3, "x": 2.5, "metrics": {"l1": 0.08}}
    """

    def __init__(self, folder: str, resumed: bool = False, images: int | None = None):
        """`images`: the position of a resumed run; records of later positions are dropped."""
        self.path = os.path.join(folder, "metrics.jsonl")
        self.newest = os.path.join(folder, "metrics.json")
        if not os.path.exists(self.path):
            return
        if not resumed:
            os.replace(self.path, os.path.join(folder, "metrics.previous.jsonl"))
        elif images is not None:
            _forget(self.path, "images_seen", images)

    def write(
        self, epoch: int, images: int, x: float, values: Mapping[str, float], scores: Mapping[str, Any]
    ) -> dict[str, Any]:
        """`x` is the number of epochs done. Returns the record."""
        metrics = {name: _number(value) for name, value in values.items()}
        record = {"images_seen": images, "epoch": epoch, "x": x, "metrics": metrics}
        _append_line(self.path, json.dumps(record))
        write_scores(self.newest, {"images_seen": images, "epoch": epoch, **scores})
        return record


def loss_line(
    epoch: int, iters: int, losses: Mapping[str, float], t_comp: float, t_data: float, lr: float | None = None
) -> str:
    """The console line, in the format that existing scripts parse (with the trailing space); the rate is its end."""
    head = f"(epoch: {epoch}, iters: {iters}, time: {t_comp:.3f}, data: {t_data:.3f}) "
    rate = "" if lr is None else f"lr: {lr:.3g} "
    return head + "".join(f"{name}: {value:.3f} " for name, value in losses.items()) + rate


def loss_record(
    epoch: int,
    iters: int,
    losses: Mapping[str, float],
    t_comp: float,
    t_data: float,
    images: int | None = None,
    dataset_size: int | None = None,
    lr: float | None = None,
) -> dict[str, Any]:
    return {
        "epoch": epoch,
        "iters": iters,
        "images": images,
        "x": epoch - 1 + iters / dataset_size if dataset_size else None,
        "losses": {name: _number(value) for name, value in losses.items()},
        "lr": lr,
        "time": _number(t_comp),
        "data": _number(t_data),
    }


def _forget(path, field, images):
    """Drop the records whose `field` is above `images`."""
    with open(path, encoding="utf-8") as file:
        lines = [(line, _seen(line, field)) for line in file]
    write_text(path, "".join(line for line, seen in lines if seen is None or seen <= images))


def position_of(record: Mapping[str, Any]) -> float:
    """The number of epochs done at a record; raises KeyError or TypeError for a record without x."""
    x = float(record["x"])
    return x - 1 if x > record.get("epoch", math.inf) else x


def status_of(record: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """The values of a record besides the losses: plot -> {name: value}."""
    plots = {
        "learning rate": {"rate": record.get("lr")},
        "seconds per image": {"computing": record.get("time"), "loading": record.get("data")},
        "memory in MiB": {"memory": record.get("memory")},
    }
    known = {plot: {name: value for name, value in each.items() if value is not None} for plot, each in plots.items()}
    return {plot: each for plot, each in known.items() if each}


def _seen(line, field):
    """A field of a record's line; None if it is missing."""
    try:
        return json.loads(line)[field]
    except (ValueError, KeyError, TypeError):
        return None


def _number(value):
    value = float(value)
    return value if math.isfinite(value) else str(value)


def _append_line(path, line):
    """Append a line in one write; if a crash truncated the line before it, a line break is added first."""
    with open(path, "ab+") as file:
        if file.tell() and (file.seek(-1, os.SEEK_END), file.read(1))[1] != b"\n":
            line = "\n" + line
        file.write((line + "\n").encode("utf-8", "replace"))
