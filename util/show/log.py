"""What a run says about its losses: one line for people, one JSON record for programs, per printed point.

loss_log.jsonl holds a record a line; a reader skips a line that doesn't parse (a crash may cut one short):

    {"epoch": 1, "iters": 100, "images": 100, "x": 1.25, "losses": {"G": 0.7}, "time": 0.1, "data": 0.01}

iters counts images within the epoch, images those of the whole run, x = epoch + iters / size of the data set is where
the point stands on a plot (null where the size is unknown). JSON has no word for them, so a loss that is not finite is
the text "nan", "inf" or "-inf", which float() reads.
"""

import datetime
import json
import math
import os

from util.files import write_text


class LossLog:
    """loss_log.txt and loss_log.jsonl in a run's folder; `resumed` says whether this run continues the one there."""

    def __init__(self, folder, resumed=False):
        self.text_path = os.path.join(folder, "loss_log.txt")
        self.json_path = os.path.join(folder, "loss_log.jsonl")
        os.makedirs(folder, exist_ok=True)
        if not resumed and os.path.exists(self.json_path):  # another run's points would bend this one's curves
            os.replace(self.json_path, os.path.join(folder, "loss_log.previous.jsonl"))
        now = datetime.datetime.now().isoformat(timespec="seconds")
        _append_line(self.text_path, f"================ Training Loss ({now}) ================")

    def forget_after(self, images):
        """Drop records of points later than so many images: a run that goes on from there makes them again."""
        if os.path.exists(self.json_path):
            with open(self.json_path, encoding="utf-8") as file:
                lines = [line for line in file if _seen(line) is None or _seen(line) <= images]
            write_text(self.json_path, "".join(lines))

    def write(self, line, record):
        _append_line(self.text_path, line)
        _append_line(self.json_path, json.dumps(record, allow_nan=False))

    def note(self, line):
        """A line for people only."""
        _append_line(self.text_path, line)


def loss_line(epoch, iters, losses, t_comp, t_data):
    """The console line as people's scripts know it, trailing space included."""
    head = f"(epoch: {epoch}, iters: {iters}, time: {t_comp:.3f}, data: {t_data:.3f}) "
    return head + "".join(f"{name}: {value:.3f} " for name, value in losses.items())


def loss_record(epoch, iters, losses, t_comp, t_data, images=None, dataset_size=None):
    return {
        "epoch": epoch,
        "iters": iters,
        "images": images,
        "x": epoch + iters / dataset_size if dataset_size else None,
        "losses": {name: _number(value) for name, value in losses.items()},
        "time": _number(t_comp),
        "data": _number(t_data),
    }


def _seen(line):
    """The images count of a record's line; None where it has none."""
    try:
        return json.loads(line)["images"]
    except (ValueError, KeyError, TypeError):
        return None


def _number(value):
    value = float(value)
    return value if math.isfinite(value) else str(value)


def _append_line(path, line):
    """One write of a whole line; a line that a crash cut short before is ended first."""
    with open(path, "ab+") as file:
        if file.tell() and (file.seek(-1, os.SEEK_END), file.read(1))[1] != b"\n":
            line = "\n" + line
        file.write((line + "\n").encode("utf-8", "replace"))
