"""Output of a training run: the console line, the loss log, the page of images and the dashboards.

Errors in this output never stop a training: a file that cannot be written causes one warning.
"""

import contextlib
import os
import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from util.numerics import memory
from util.show.log import LossLog, MetricsLog, loss_line, loss_record, status_of
from util.show.page_files import roles
from util.show.results import save_images
from util.show.sinks import Sink
from util.show.training_page import TrainingPage
from util.util import tensor2im

__all__ = ["Visualizer", "save_images"]


class Visualizer:
    """Reports losses and images of a run; the dashboards (``util.show.sinks``) receive the same values.

    Training scripts of the original programs call display_current_results() and plot_current_losses() with different
    argument lists; the methods distinguish them by the number and type of the arguments.
    """

    def __init__(self, opt: Namespace, images_seen: int | None = None):
        """`images_seen`: the position of a resumed run; log records of later positions are dropped."""
        self.opt = opt
        self.name = opt.name
        self.use_html = opt.isTrain and not opt.no_html
        self.win_size = opt.display_winsize
        self.saved = False  # whether images of this epoch are on the page
        self.current_epoch = 0
        self.dataset_size: int | None = None
        self.images_seen = images_seen  # in the whole run; None until a caller passes it
        self.sinks: list[Sink] = []
        self._optimizers: list[torch.optim.Optimizer] = []
        self._page: TrainingPage | None = None
        self._failing: set[str] = set()  # kinds of output whose last write failed
        self._keep_old_names(opt)
        run_dir = os.path.join(opt.checkpoints_dir, opt.name)
        self.log_name = os.path.join(run_dir, "loss_log.txt")
        self.web_dir = os.path.join(run_dir, "web")
        self.img_dir = os.path.join(self.web_dir, "images")
        if opt.isTrain:
            self._open(run_dir)

    def _open(self, run_dir):
        from util.show.sinks import open_sinks

        resumed = getattr(self.opt, "continue_train", False)
        self.log = LossLog(run_dir, resumed)
        if resumed and self.images_seen is not None:
            self.log.forget_after(self.images_seen)
        self.metrics_log = MetricsLog(run_dir, resumed, self.images_seen)
        if self.use_html:
            self.write(f"create web directory {self.web_dir}...")
            self._page = TrainingPage(self.web_dir, self.opt, resumed)
        self.sinks = open_sinks(self.opt)

    def _keep_old_names(self, opt):
        """Attributes that code written for the original programs may read; nothing in this project uses them."""
        self.display_id = getattr(opt, "display_id", None)
        self.port = getattr(opt, "display_port", None)
        self.ncols = getattr(opt, "display_ncols", 4)
        self.use_wandb = getattr(opt, "use_wandb", False)
        self.vis = self.wandb_run = None
        self.plot_data = {}

    def reset(self) -> None:
        """Start an epoch: its first images go to the page even without `save_result`."""
        self.saved = False

    def set_dataset_size(self, size: int) -> None:
        """Set the images per epoch, from which positions inside an epoch are computed for plots."""
        self.dataset_size = size

    def set_optimizers(self, optimizers: list[torch.optim.Optimizer]) -> None:
        """Set the optimizers of the model; the learning rate of the first is reported with the losses."""
        self._optimizers = optimizers

    def rate(self) -> float | None:
        """The learning rate, or None if no optimizers are set."""
        return self._optimizers[0].param_groups[0]["lr"] if self._optimizers else None

    def create_visdom_connections(self) -> None:
        """Does nothing: the sinks connect and reconnect by themselves. Kept for scripts that call it."""

    def write(self, text: str) -> None:
        """Print a line without breaking a progress bar."""
        tqdm.write(text)
        sys.stdout.flush()

    def warn(self, text: str) -> None:
        """Print a warning and write it to the loss log."""
        self.write(f"warning: {text}")
        with self._tolerating_os_errors("log", self.log_name):
            self.log.note(f"warning: {text}")

    def display_current_results(
        self,
        visuals: Mapping[str, torch.Tensor | np.ndarray],
        epoch: int,
        *rest: int | bool,
        total_iters: int | None = None,
        save_result: bool = False,
    ) -> None:
        """Show images: ``(visuals, epoch, save_result)`` or ``(visuals, epoch, total_iters, save_result)``.

        The dashboards always get them. The page gets them if `save_result` is set or it has no images of this epoch.
        """
        for value in rest:
            if isinstance(value, bool):
                save_result = value
            else:
                total_iters = value
        self.current_epoch = epoch
        self._set_images_seen(total_iters)
        pictures = {label: tensor2im(visual) for label, visual in visuals.items()}
        for sink in self.sinks:
            sink.images(self._step(epoch), pictures)
        if self.use_html and (save_result or not self.saved):
            self.saved = True
            self._to_page(epoch, pictures)

    def display_samples(self, samples: Sequence[Mapping[str, torch.Tensor]]) -> None:
        """Show the fixed samples: for each the input, its translations, and the truth if there is one."""
        pictures = [{label: tensor2im(each) for label, each in sample.items()} for sample in samples]
        if self._page is not None:
            with self._tolerating_os_errors("samples", self.web_dir):
                same = roles(list(pictures[0]), True)
                self._page.samples(self.current_epoch, pictures, [same["input"], same["truth"]])
        named = {f"{label} {n}": each for n, sample in enumerate(pictures, 1) for label, each in sample.items()}
        for sink in self.sinks:
            sink.samples(self._step(self.current_epoch), named)

    def plot_current_losses(self, *args: Any, total_iters: int | None = None) -> None:
        """Send losses to the dashboards: ``(epoch, counter_ratio, losses)`` or ``(total_iters, losses)``."""
        if len(args) == 2:
            self._set_images_seen(args[0])
            x = args[0] / self.dataset_size if self.dataset_size else self.current_epoch
        else:
            self._set_images_seen(total_iters)
            self.current_epoch, x = args[0], args[0] - 1 + float(args[1])
        for sink in self.sinks:
            sink.scalars(self._step(x), args[-1], x)

    def print_current_losses(
        self,
        epoch: int,
        iters: int,
        losses: Mapping[str, float],
        t_comp: float,
        t_data: float,
        images: int | None = None,
    ) -> None:
        """Print and log losses; `iters` counts the images of the epoch, `images` the images of the whole run."""
        self.current_epoch = epoch
        self._set_images_seen(images)
        lr = self.rate()
        line = loss_line(epoch, iters, losses, t_comp, t_data, lr)
        self.write(line)
        record = loss_record(epoch, iters, losses, t_comp, t_data, images, self.dataset_size, lr)
        record["memory"] = memory.used()
        with self._tolerating_os_errors("log", self.log_name):
            self.log.write(line, record)
        if self._page is not None:
            with self._tolerating_os_errors("points", self.web_dir):
                self._page.point(record)
        position = epoch if record["x"] is None else record["x"]
        for sink in self.sinks:
            sink.status(self._step(position), status_of(record), position)

    def report_metrics(self, epoch: int, fraction: float, images: int, scores: Mapping[str, Any]) -> None:
        """Print, log and plot the scores of an evaluation (util.metrics.meter.combine) after `images` images."""
        self._set_images_seen(images)
        values = {name: metric["value"] for name, metric in scores["metrics"].items()}
        shown = ", ".join(f"{name} {value:.5g}" for name, value in values.items())
        self.write(f"evaluation (epoch: {epoch}, images: {images}) {shown or 'no metric could be computed'}")
        x = epoch - 1 + fraction
        with self._tolerating_os_errors("metrics", self.metrics_log.path):
            record = self.metrics_log.write(epoch, images, x, values, scores)
            if self._page is not None:
                self._page.evaluation(record)
        for sink in self.sinks:
            sink.metrics(self._step(x), values, x)

    def close(self) -> None:
        for sink in self.sinks:
            sink.close()
        self.sinks = []

    def _to_page(self, epoch, pictures):
        if self._page is not None:
            with self._tolerating_os_errors("pictures", self.web_dir):
                self._page.pictures(epoch, pictures)

    @contextlib.contextmanager
    def _tolerating_os_errors(self, kind, path):
        """Turn an OSError into a warning; further errors of this kind are silent until a write succeeds."""
        try:
            yield
            self._failing.discard(kind)
        except OSError as error:
            if kind not in self._failing:
                self._failing.add(kind)
                path = error.filename or path
                self.write(f"warning: {path}: cannot be written ({error.strerror or error}); the training continues")

    def _set_images_seen(self, images):
        if images is not None:
            self.images_seen = images

    def _step(self, x):
        """The step number for dashboards: images seen, or thousandths of an epoch if that number is unknown."""
        return self.images_seen if self.images_seen is not None else round(x * 1000)
