"""The page of a training, ``<run>/web/index.html``: curves, fixed samples by epoch, images, options of the run.

Each update appends a line to a data file or replaces an image, so that it costs the same at any length of the run.
plain.html shows the images without scripts.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from argparse import Namespace
from typing import Any

import numpy as np

from util.html import HTML
from util.show.page_files import DataFile, call, channels_shown, image_url, roles, write_page
from util.show.results import clean_name
from util.show.run_pages import epochs_of
from util.util import save_image


class TrainingPage:
    """Methods raise OSError if the disk cannot be written; the visualizer turns it into a warning."""

    def __init__(self, web_dir: str, opt: Namespace, resumed: bool):
        self.web_dir, self.width, self.resumed = web_dir, opt.display_winsize, resumed
        self.run_dir = os.path.dirname(os.path.abspath(web_dir))
        self._take_over_old_page()
        title = f"Experiment name = {opt.name}"
        self.plain = HTML(web_dir, title, keep=resumed, newest_first=True, file="plain.html")
        write_page(web_dir, "training.html", f"{opt.name}: training")
        self._run = DataFile(web_dir, "run.js")
        self._run.append("describe", describe(opt))
        self._points = DataFile(web_dir, "points.js")
        self._copy_logs()
        self._pictures = DataFile(web_dir, "pictures.js", keep=resumed)
        self._samples = DataFile(web_dir, "samples.js", keep=resumed)
        self._listed: set[str] = set()  # lines and image files that the two data files have already

    def point(self, record: dict[str, Any]) -> None:
        """Add a record of loss_log.jsonl."""
        self._points.append("point", record)

    def evaluation(self, record: dict[str, Any]) -> None:
        """Add a record of metrics.jsonl."""
        self._points.append("evaluation", record)

    def pictures(self, epoch: int, pictures: dict[str, np.ndarray]) -> None:
        """Add the newest images of an epoch, which replace earlier images of this epoch."""
        names = {label: f"epoch{epoch:03d}_{clean_name(label)}.png" for label in pictures}
        self._save(names, pictures)
        labels, files = list(names), list(names.values())
        self.plain.add_section(f"epoch [{epoch}]", files, labels, files, width=self.width, key=f"epoch{epoch}")
        self._list(self._pictures, "pictures", epoch, _addresses(names))

    def samples(self, epoch: int, samples: list[dict[str, np.ndarray]], others: list[str]) -> None:
        """Add the fixed samples of an epoch; images with a label in `others` are the same in every epoch."""
        for number, pictures in enumerate(samples, start=1):
            names = {}
            for label in pictures:
                part = "" if label in others else f"_epoch{epoch:03d}"
                names[label] = f"sample{number}{part}_{clean_name(label)}.png"
            new = {label: name for label, name in names.items() if label not in others or name not in self._listed}
            self._save(new, pictures)
            self._listed |= {name for label, name in names.items() if label in others}
            size = next(iter(pictures.values())).shape[1::-1]
            self._list(self._samples, "sample", number, epoch, _addresses(names), size, roles(list(names), True))

    def _save(self, names, pictures):
        for label, name in names.items():
            save_image(pictures[label], os.path.join(self.plain.img_dir, name))

    def _list(self, file, *arguments):
        line = call(*arguments).decode()
        if line not in self._listed:
            self._listed.add(line)
            file.append(*arguments)

    def _take_over_old_page(self):
        """Keep the page that an earlier version wrote for a resumed run: its index.html becomes plain.html."""
        old, new = (os.path.join(self.web_dir, name) for name in ("index.html", "plain.html"))
        if not self.resumed or os.path.exists(new) or not os.path.exists(old):
            return
        os.replace(old, new)
        file = DataFile(self.web_dir, "pictures.js")
        for epoch, files in epochs_of(self.run_dir).items():
            file.append("pictures", epoch, {label: image_url(os.path.basename(path)) for label, path in files.items()})

    def _copy_logs(self):
        """Write the records of the logs of a resumed run into the data file of the curves."""
        if not self.resumed:
            return
        for name, function in (("loss_log.jsonl", "point"), ("metrics.jsonl", "evaluation")):
            with open(self._points.path, "ab") as file:
                for record in read_records(os.path.join(self.run_dir, name)):
                    file.write(call(function, record))


def read_records(path: str) -> list[dict[str, Any]]:
    """The records of a JSONL file; lines that do not parse are left out, a missing file has none."""
    records = []
    if os.path.exists(path):
        with open(path, encoding="utf-8", errors="replace") as file:
            for line in file:
                try:
                    record = json.loads(line)
                except ValueError:
                    continue
                if isinstance(record, dict):
                    records.append(record)
    return records


def describe(opt: Namespace) -> dict[str, Any]:
    """The data of the page about the run: its options, the changed options, the commands that continue and test it."""
    folder = os.path.join(opt.checkpoints_dir, opt.name)
    words = ["--dataroot", getattr(opt, "dataroot", None), "--name", opt.name]
    if os.path.normpath(opt.checkpoints_dir) != "checkpoints":
        words += ["--checkpoints_dir", opt.checkpoints_dir]
    given = " ".join(shlex.quote(str(word)) for word in words)
    commands = [f"python train.py --continue_train {given}", f"python test.py {given}"]
    options, changed = read_options(os.path.join(folder, "train_opt.txt"))
    facts = [f"{name} {getattr(opt, name)}" for name in ("model", "dataset_mode", "dataroot") if hasattr(opt, name)]
    channels = sorted({getattr(opt, name, 3) for name in ("input_nc", "output_nc")} - {1, 3})
    facts += [f"images show {channels_shown(each)}" for each in channels]
    return {"facts": facts, "options": options, "changed": changed, "commands": commands}


def read_options(path: str) -> tuple[list[list[str]], list[list[str]]]:
    """The options in a train_opt.txt: all as [name, value], and those not at their default as [name, value, default].

    Empty lists if there is no such file.
    """
    options, changed = [], []
    if os.path.exists(path):
        with open(path, encoding="utf-8", errors="replace") as file:
            for line in file:
                if match := re.fullmatch(r" *(\w+): (.*?) *(?:\t\[default: (.*)\])?\n", line):
                    options.append([match[1], match[2]])
                    if match[3] is not None:
                        changed.append([match[1], match[2], match[3]])
    return options, changed


def _addresses(names):
    return {label: image_url(name) for label, name in names.items()}
