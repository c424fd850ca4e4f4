"""The page of a test: ``<results_dir>/<name>/<phase>_<epoch>/index.html`` with the pictures of every image."""

from __future__ import annotations

import os
from argparse import Namespace
from typing import Any

from util.errors import InputError
from util.html import HTML
from util.show.results import data_roots, save_images

EVERY = 5  # images between two lines on the console


class ResultPage:
    """``add()`` the pictures of each batch, then ``close()``; both write to disk at once."""

    def __init__(self, opt: Namespace, dataset: Any) -> None:
        self.opt = opt
        self.available = len(dataset)
        self.wanted = min(self.available, opt.num_test)
        self.done = 0
        self._roots = data_roots(opt) + getattr(dataset.dataset, "roots", [])
        self._html = HTML(folder_of(opt), f"Experiment = {opt.name}, Phase = {opt.phase}, Epoch = {opt.epoch}")

    def add(self, visuals: dict, paths: list, images: int) -> None:
        """The pictures of a batch: name -> (N, C, H, W), the files that they were made from, and N."""
        if self.done % EVERY == 0:
            print(f"processing ({self.done:04d})-th image... {paths}")
        opt = self.opt
        save_images(
            self._html,
            visuals,
            paths,
            aspect_ratio=opt.aspect_ratio,
            width=opt.display_winsize,
            layout=opt.results_layout,
            root=self._roots,
        )
        self.done += images

    def close(self) -> None:
        """Print what was written; raises InputError where a data set ended before its own length."""
        self._html.save()
        print(f"wrote {self.done} of {self.available} images: {os.path.join(self._html.web_dir, 'index.html')}")
        if self.done < self.wanted:
            raise InputError(f"only {self.done} of {self.wanted} images could be tested")


def folder_of(opt: Namespace) -> str:
    """Where the page of a test lies."""
    tag = f"{opt.phase}_{opt.epoch}" + (f"_iter{opt.load_iter}" if opt.load_iter > 0 else "")
    return os.path.join(opt.results_dir, opt.name, tag)
