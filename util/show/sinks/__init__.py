"""Dashboards: visdom, Weights & Biases and TensorBoard receive the losses and images of a run.

The packages are optional, and each is imported only if its dashboard is wanted.
"""

import importlib.util
import os
import sys
import zlib
from argparse import Namespace
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from util.errors import InputError
from util.show.sinks.drawing import as_rgb

PLAIN = (bool, int, float, str, list, type(None))  # types of options that wandb shows unchanged


class Sink(Protocol):
    """A dashboard. The methods return at once, and an error in them must not stop the run."""

    def scalars(self, step: int, values: Mapping[str, float], epoch: float) -> None:
        """Add the losses. `step` counts images seen; `epoch` counts epochs done: 1.25 after a quarter of epoch 2."""

    def metrics(self, step: int, values: Mapping[str, float], epoch: float) -> None:
        """Add the scores of an evaluation, as curves of their own; arguments as in scalars()."""

    def status(self, step: int, plots: Mapping[str, Mapping[str, float]], epoch: float) -> None:
        """Add learning rate, seconds per image and memory: {title of a plot: {name of a curve: value}}."""

    def samples(self, step: int, visuals: Mapping[str, np.ndarray]) -> None:
        """Show the fixed samples; arguments as in images()."""

    def images(self, step: int, visuals: Mapping[str, np.ndarray]) -> None:
        """Show images: label -> uint8 array (H, W, C) or (H, W) of any size."""

    def close(self) -> None:
        """Wait a short time for pending transfers; called once, at the end of the run."""


def open_sinks(opt: Namespace) -> list[Sink]:
    """Open the dashboards that the options select.

    Call this before the run writes to its loss_log.jsonl: the curves begin with the records that the file has then.
    """
    check_packages(opt)
    sinks: list[Sink] = []
    display_id = getattr(opt, "display_id", -1)
    if display_id is None or display_id > 0:
        sinks += _open_visdom(opt, display_id)
    if getattr(opt, "use_wandb", False):
        sinks.append(Guarded(WandbSink(opt)))
    if getattr(opt, "use_tensorboard", False):
        sinks.append(Guarded(TensorboardSink(opt)))
    return sinks


def window_base(name: str) -> int:
    """The first visdom window of a run, computed from its name, so that a resumed run uses the same windows."""
    return (zlib.crc32(name.encode()) % 99_999 + 1) * 10  # 10, 20 ... 999990: nine more windows fit, never 0


def _open_visdom(opt, display_id):
    if display_id is None and importlib.util.find_spec("visdom") is None:
        # No flag selected the dashboard, so the run continues without it.
        print("visdom: not installed, so there is no live dashboard (pip install -r requirements.txt)", file=sys.stderr)
        return []
    from util.show.sinks.visdom_sink import VisdomSink

    return [Guarded(VisdomSink(opt, display_id or window_base(opt.name)))]


def check_packages(opt: Namespace) -> None:
    """Raise InputError if a flag selects a dashboard whose package is not installed."""
    packages = {
        "visdom": ("--display_id", (getattr(opt, "display_id", None) or 0) > 0),
        "wandb": ("--use_wandb", getattr(opt, "use_wandb", False)),
        "tensorboard": ("--use_tensorboard", getattr(opt, "use_tensorboard", False)),
    }
    for package, (flag, selected) in packages.items():
        if selected and importlib.util.find_spec(package) is None:
            raise InputError(f"{flag} needs the package {package}, which is not installed: pip install {package}")


class Guarded:
    """Wraps a sink: its first error is printed in one line and turns the sink off; the run continues."""

    def __init__(self, sink: Any):
        self.sink = sink

    def scalars(self, step: int, values: Mapping[str, float], epoch: float) -> None:
        self._call("scalars", step, values, epoch)

    def metrics(self, step: int, values: Mapping[str, float], epoch: float) -> None:
        self._call("metrics", step, values, epoch)

    def images(self, step: int, visuals: Mapping[str, np.ndarray]) -> None:
        self._call("images", step, visuals)

    def status(self, step: int, plots: Mapping[str, Mapping[str, float]], epoch: float) -> None:
        self._call("status", step, plots, epoch)

    def samples(self, step: int, visuals: Mapping[str, np.ndarray]) -> None:
        self._call("samples", step, visuals)

    def close(self) -> None:
        self._call("close")
        self.sink = None

    def _call(self, method, *args):
        if self.sink is None:
            return
        try:
            getattr(self.sink, method)(*args)
        except Exception as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            print(f"{type(self.sink).__name__} failed and is turned off: {reason}", file=sys.stderr)
            self.sink = None


class WandbSink:
    """A wandb run: curves over the images seen, images under results/.

    Its id is stored in the folder of the training run and reused by --continue_train.
    """

    def __init__(self, opt: Namespace):
        import wandb

        folder = os.path.join(opt.checkpoints_dir, opt.name)
        os.makedirs(folder, exist_ok=True)
        note = os.path.join(folder, "wandb_id.txt")
        known = None
        if opt.continue_train and os.path.exists(note):
            with open(note) as file:
                known = file.read().strip()
        try:
            self.run = wandb.init(
                project=opt.wandb_project_name,
                name=opt.name,
                config={name: value if isinstance(value, PLAIN) else str(value) for name, value in vars(opt).items()},
                dir=folder,
                id=known,
                resume="allow" if known else None,
            )
        except wandb.Error as error:
            reason = str(error).splitlines()[0]
            raise InputError(f"--use_wandb: {reason} (run `wandb login`, or set WANDB_MODE=offline)") from None
        with open(note, "w") as file:
            file.write(self.run.id)
        # A separate axis, because wandb's own step may not decrease, and in a resumed run it would.
        self.run.define_metric("*", step_metric="images_seen")

    def scalars(self, step, values, epoch):
        self.run.log({**values, "epoch": epoch, "images_seen": step})

    def metrics(self, step, values, epoch):
        named = {f"metric/{name}": value for name, value in values.items()}
        self.run.log({**named, "epoch": epoch, "images_seen": step})

    def status(self, step, plots, epoch):
        named = {f"{title}/{name}": value for title, values in plots.items() for name, value in values.items()}
        self.run.log({**named, "epoch": epoch, "images_seen": step})

    def images(self, step, visuals):
        self._log_images("results", step, visuals)

    def samples(self, step, visuals):
        self._log_images("samples", step, visuals)

    def _log_images(self, group, step, visuals):
        import wandb

        pictures = {f"{group}/{name}": wandb.Image(as_rgb(picture), caption=name) for name, picture in visuals.items()}
        self.run.log({**pictures, "images_seen": step})

    def close(self):
        self.run.finish()


class TensorboardSink:
    """Event files in the folder of the run: tensorboard --logdir checkpoints."""

    def __init__(self, opt):
        self.folder = os.path.join(opt.checkpoints_dir, opt.name, "tensorboard")
        plain = (bool, int, float, str)
        self.options = {name: value if isinstance(value, plain) else str(value) for name, value in vars(opt).items()}
        self.writer = None
        self.newest: dict[str, float] = {}  # losses and metrics, which the table of hyper-parameters shows

    def scalars(self, step, values, epoch):
        writer = self._writer(step)
        for name, value in values.items():
            writer.add_scalar(f"loss/{name}", value, step)
            self.newest[f"loss/{name}"] = value
        writer.add_scalar("epoch", epoch, step)

    def metrics(self, step, values, epoch):
        for name, value in values.items():
            self._writer(step).add_scalar(f"metric/{name}", value, step)
            self.newest[f"metric/{name}"] = value

    def status(self, step, plots, epoch):
        for title, values in plots.items():
            for name, value in values.items():
                self._writer(step).add_scalar(f"{title.replace(' ', '_')}/{name}", value, step)

    def images(self, step, visuals):
        writer = self._writer(step)
        for name, picture in visuals.items():
            writer.add_image(name, as_rgb(picture), step, dataformats="HWC")

    def samples(self, step, visuals):
        self.images(step, {f"samples/{name}": picture for name, picture in visuals.items()})

    def close(self):
        if self.writer is not None:
            # Not by add_hparams(), which would write a second run in a sub-folder.
            from torch.utils.tensorboard.summary import hparams

            for summary in hparams(self.options, self.newest):
                self.writer.file_writer.add_summary(summary)
            self.writer.close()

    def _writer(self, step):
        # Opened at the first step: purge_step hides the events that a resumed run wrote after its checkpoint.
        if self.writer is None:
            from torch.utils.tensorboard import SummaryWriter

            self.writer = SummaryWriter(self.folder, purge_step=step)
        return self.writer
