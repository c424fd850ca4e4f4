"""Listeners of the training loop, and Watch, the listener that checks whether the updates of a step are finite.

--on_nan sets the reaction to an update that is not finite: stop, skip the update, or return to a checkpoint.
"""

from typing import Any, NamedTuple

import torch

from util.errors import InputError, some_of
from util.processes import distributed
from util.run import states
from util.run.loss_means import current_losses, mean_over_ranks

MOST_ROLLBACKS = 3
MOST_SKIPS_IN_A_ROW = 100


class Listener:
    """The base class: override the methods that you need and append an object to the list in util/run/running.py."""

    def step(self, data) -> None:
        """Called after each step with the step's batch."""

    def images(self, visuals: dict, data) -> None:
        """Called whenever images are shown, with {name: tensor or array} and the step's batch."""

    def losses(self, losses: dict) -> None:
        """Called whenever losses are printed, with {name: mean since the last print}."""


class Listeners(Listener):
    """Calls each listener of a list in turn."""

    def __init__(self, listeners):
        self.listeners = list(listeners)

    def step(self, data):
        for listener in self.listeners:
            listener.step(data)

    def images(self, visuals, data):
        for listener in self.listeners:
            listener.images(visuals, data)

    def losses(self, losses):
        for listener in self.listeners:
            listener.losses(losses)


class Report(NamedTuple):
    """The check of a step. `flags` is true for an update that is not finite; valid once the event `arrived` is over."""

    parameters: list
    flags: torch.Tensor
    arrived: Any  # a CUDA event of the copy of `flags` to the host, or None on a CPU
    losses: dict
    paths: list
    where: str


class Watch(Listener):
    """Checks after every step whether its updates were finite, and reacts to a bad update as --on_nan sets.

    On CUDA the check of a step is read one step later, so that the host does not wait for the device. A model that
    does not update through BaseModel.step() is checked by its losses, when they are printed and before a checkpoint is
    written.
    """

    def __init__(self, opt, model, progress, folder, warn=print):
        """`folder`: the run's folder, whose newest checkpoint a rollback loads; warn(text) prints a line."""
        self.opt, self.model, self.progress, self.folder, self.warn = opt, model, progress, folder, warn
        self.skipped = self.in_a_row = self.rollbacks = 0
        self._paths = None  # image files of the last batch
        self._guarded = False  # whether the model updates through BaseModel.step()
        self._pending = None  # the Report of a step that is not checked yet
        self._next_report = 0  # next image count at which a skipped update is reported again

    def step(self, data):
        before, self._pending = self._pending, None
        self._paths = paths_of(data)
        made = self.model._updates.take()
        if made:
            self._guarded = True
            self._pending = self._report(made)
        elif not self._guarded and getattr(self.opt, "precision", None) == "fp16":
            error = InputError(
                f"--precision fp16: --model {self.opt.model} does not update through BaseModel.step(), so its "
                "gradients can't be scaled; use --precision bf16"
            )
            raise distributed.raised_once(error)
        if before is not None:
            self._check(before)
        if self._pending is not None and self._pending.arrived is None:
            self.finish_checks()

    def finish_checks(self):
        """Wait for the pending check; called on all ranks before a checkpoint is saved."""
        report, self._pending = self._pending, None
        if report is not None:
            self._check(report)
        if not self._guarded and self._paths is not None:
            self.losses(mean_over_ranks({name: float(value) for name, value in self._losses().items()}))
            self._paths = None  # these losses are checked: two saves after one step must not roll back twice

    def losses(self, losses):
        """Check the printed losses of a model that does not update through BaseModel.step()."""
        bad = [f"{name} {value}" for name, value in losses.items() if not abs(value) < float("inf")]
        if not bad or self._guarded:
            return
        paths = shown(everywhere(self._paths))
        what = f"{self._where()}: not a finite number in the losses: {', '.join(bad)}; images: {paths}"
        if self.opt.on_nan != "rollback":
            raise self._stop(what)
        self._roll_back(what)

    def _report(self, made):
        flags, arrived = torch.stack([bad for _, bad in made]), None
        if flags.is_cuda:
            flags = flags.to("cpu", non_blocking=True)
            arrived = torch.cuda.Event()  # marks the end of the copy
            arrived.record()
        parameters = [own for own, _ in made]
        return Report(parameters, flags, arrived, self._losses(), self._paths, self._where())

    def _losses(self):
        """The model's losses on their device."""
        found = current_losses(self.model)
        return {name: value.detach() for name, value in found.items() if isinstance(value, torch.Tensor)}

    def _check(self, report):
        if report.arrived is not None:
            report.arrived.synchronize()
        if not report.flags.any():
            self.in_a_row = 0
            return
        what = f"{report.where}: {self._describe(report)}; images: {shown(everywhere(report.paths))}"
        if self.opt.on_nan == "stop":
            raise self._stop(what)
        if self.opt.on_nan == "rollback":
            self._roll_back(what)
        else:
            self._skip(what)

    def _describe(self, report):
        held = {id(p) for parameters, bad in zip(report.parameters, report.flags) if bad for p in parameters}
        nets = [
            name for name, net in self.model.networks_by_name().items() if any(id(p) in held for p in net.parameters())
        ]
        losses = {name: float(value) for name, value in report.losses.items()}
        bad = [f"{name} {value}" for name, value in losses.items() if not abs(value) < float("inf")]
        cause = f"losses: {', '.join(bad)}" if bad else "the losses are finite, their gradients are not"
        return f"not a finite number in the update of {', '.join(nets)} ({cause})"

    def _skip(self, what):
        remove_nan(self.model)
        self.skipped += 1
        self.in_a_row += 1
        if self.in_a_row >= MOST_SKIPS_IN_A_ROW:
            raise self._stop(f"{what}; {self.in_a_row} batches in a row have such updates")
        if self.progress.total_iters >= self._next_report:
            self._next_report = self.progress.total_iters + self.opt.print_freq
            self.warn(f"--on_nan skip: {what}; the update is left out ({self.skipped} left out so far)")

    def _roll_back(self, what):
        if self.rollbacks == MOST_ROLLBACKS:
            raise self._stop(f"{what}; after {self.rollbacks} rollbacks")
        found, state = distributed.on_rank0(lambda: with_state(states.newest_whole(self.folder)))
        if found is None:
            raise self._stop(f"{what}; there is no checkpoint to go back to yet")
        self.rollbacks += 1
        self._pending = None  # it is about weights that are replaced now
        restore(self.model, state, found.path)
        self.warn(f"--on_nan rollback: {what}; the weights of {found.path} are loaded, the next batch follows")

    def _stop(self, what):
        found = states.newest_whole(self.folder)
        kept = f"--continue_train continues from the last checkpoint, {found.path}" if found else "no checkpoint yet"
        error = InputError(
            f"{what}; {kept}. Try a lower --lr or another --gan_mode, or look at these images; with --on_nan skip or "
            "--on_nan rollback the training does not stop"
        )
        return distributed.raised_once(error)

    def _where(self):
        return f"epoch {self.progress.epoch}, {self.progress.total_iters} images seen"


def with_state(found):
    return found, found and states.read_state(found.path)


def everywhere(paths):
    """The paths of all ranks. Collective."""
    return [path for own in distributed.gather(paths) for path in own]


def restore(model, state, path):
    """Load networks, optimizer moments and pools from a state; learning rates and schedules keep their values."""
    rates = [[group["lr"] for group in optimizer.param_groups] for optimizer in model.optimizers]
    state = {**state["model"], "schedulers": []}
    states.load_model_state(model, state, path)
    for optimizer, own in zip(model.optimizers, rates):
        for group, rate in zip(optimizer.param_groups, own):
            group["lr"] = rate


def remove_nan(model):
    """Remove what a forward pass with NaN leaves behind: images in the pools, running statistics of batch norms."""
    for pool in states.pools_of(model).values():
        images = pool.images
        finite = [image for image in images if image.isfinite().all()]
        if len(finite) < len(images):
            pool.images = finite
    for net in model.networks_by_name().values():
        for module in net.modules():
            mean = getattr(module, "running_mean", None)
            if mean is not None and not (mean.isfinite().all() and module.running_var.isfinite().all()):
                module.reset_running_stats()


def paths_of(data):
    """The image files of a batch, from all of its keys that end in _paths."""
    lists = (value for key, value in data.items() if key.endswith("_paths")) if isinstance(data, dict) else ()
    paths = (path for value in lists for path in ([value] if isinstance(value, str) else value))
    return list(dict.fromkeys(map(str, paths)))


def shown(paths):
    return some_of(paths, 8) or "unknown"
