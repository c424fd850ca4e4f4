"""--capture: a model's optimize_parameters() as CUDA graphs, one for each kind of step; see util/numerics/capturing.py.

The kinds differ in the model's decide(). For each kind, the first steps run as ever, and are recorded; then a step is
captured, and runs as ever, too; in the next, a replay is compared with the step as ever, from the same weights, images
and draws; from then on it is replayed.
"""

import contextlib
from typing import Any

import torch

from models.step_outcome import Moment, Outcome, counts_of, marks_of, set_counts
from util.errors import InputError
from util.numerics import capturing, compiling, seeding
from util.numerics.precision import SIZES_DIFFER
from util.processes import distributed
from util.run import states
from util.run.loss_means import current_losses

WARM_UP = 3  # steps before a capture, in which libraries choose their kernels
OFTEN = 8  # steps in a row after which images of another size are captured
# Device -> the largest differences between a replay and the step as ever: of losses, relative; of what changes in
# place, over its change. Kernels on CUDA differ in rounding from run to run, and Adam turns a gradient that is all
# rounding into a whole step; with stale images or draws both differences would be near 1.
LIMITS = {"cpu": (0.0, 0.0), "cuda": (0.05, 0.2)}


def begin(model: Any) -> None:
    """For --capture: replaces the model's optimize_parameters(), or prints in a line why it stays."""
    word = getattr(model.opt, "capture", "auto")
    if word != "yes" or not model.isTrain:
        return
    reason = why_not(model)
    if reason is not None:
        print(f"--capture {word}: {reason}, so the steps run as without it")
        return
    if model.device.type == "cpu":
        print(f"--capture {word}: a CPU has no graphs, so each step is called in the place of a replay")
    graphs = capturing.CudaGraphs() if model.device.type == "cuda" else capturing.Calls()
    model.optimize_parameters = CapturedStep(model, graphs)


def why_not(model: Any) -> str | None:
    """What keeps the steps of a model from being captured, or None."""
    opt, kind, name = model.opt, model.device.type, type(model).__name__
    parts = (module for net in model.networks_by_name().values() for module in net.modules())
    dropout = any(isinstance(part, torch.nn.modules.dropout._DropoutNd) for part in parts)
    pools = states.pools_of(model).values()
    reasons = {
        f"{kind} has no CUDA graphs": kind not in LIMITS,
        f"{name} declares no `captures` of its own": not vars(type(model)).get("captures"),
        "gradients are averaged over several processes": distributed.world_size() > 1,
        f"--accumulate {opt.accumulate} makes several passes": opt.accumulate > 1,
        f"--compile {opt.compile} has graphs of its own": opt.compile in compiling.REPLAYING,
        f"--preprocess {opt.preprocess} gives images of many sizes": opt.preprocess in SIZES_DIFFER,
        "--grad_checkpoint with dropout makes the same draws twice": opt.grad_checkpoint and dropout,
        "--lambda_feat makes the same draws twice": getattr(opt, "lambda_feat", 0) > 0,
        f"{name} has an image pool of its own": any(type(pool) is not states.ImagePool for pool in pools),
        f"{name} has optimizers besides Adam": any(type(each) is not torch.optim.Adam for each in model.optimizers),
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


class Kind:
    """A kind of step: its draws, its graph, and how far the captures have come."""

    def __init__(self) -> None:
        self.tape = capturing.Tape()
        self.steps = 0  # that have been made
        self.replay: Any = None
        self.checked = False


class CapturedStep:
    """To be called in the place of a model's optimize_parameters()."""

    def __init__(self, model: Any, graphs: capturing.CudaGraphs | capturing.Calls):
        self.model, self.graphs = model, graphs
        self.plain = model.optimize_parameters
        self.warm_up = WARM_UP if model.opt.compile == "none" else WARM_UP + compiling.OFTEN
        self.off = False
        self.kinds: dict[tuple, Kind] = {}
        self.inputs: dict[str, torch.Tensor] = {}  # what the graphs read in the place of the batch
        self.others = 0  # steps in a row with images of another size than the inputs
        self.marks: dict[Any, torch.Tensor] = {}
        self.rates: capturing.Rates | None = None
        for pool in states.pools_of(model).values():
            pool.in_slots = True

    def __call__(self) -> None:
        model = self.model
        model._decided = model.decide()
        try:
            if self.off or not self._takes_batch():
                self._run()
            else:
                self._drop_if_loaded()
                modes = tuple(net.training for net in model.networks_by_name().values())
                self._advance(self.kinds.setdefault((*sorted(model._decided.items()), modes), Kind()))
        finally:
            model._decided = None

    def _advance(self, kind):
        if kind.checked:
            return self._replay(kind)
        kind.steps += 1
        if kind.steps <= self.warm_up:
            with kind.tape.recording():
                self._run()
            kind.steps = 0 if kind.tape.refused else kind.steps
        elif kind.replay is None:
            self._capture(kind)
            self._run()
        else:
            self._check(kind)

    def _run(self):
        """The step as ever."""
        with self.graphs.aside():
            self.plain()

    def drop(self) -> None:
        """Forget all graphs; they are captured anew."""
        if any(kind.replay for kind in self.kinds.values()):
            self.graphs.release()
        self.kinds, self.marks, self.rates = {}, {}, None

    def _takes_batch(self):
        """Copies the batch to where the graphs read it; False for a batch of another size."""
        batch = {name: getattr(self.model, name) for name in type(self.model).captures}
        if [_form(tensor) for tensor in batch.values()] != [_form(tensor) for tensor in self.inputs.values()]:
            self.others += 1
            if self.inputs and self.others < OFTEN:
                return False
            self.drop()
            self.inputs = {name: torch.empty_like(tensor) for name, tensor in batch.items()}
        self.others = 0
        for name, tensor in batch.items():
            self.inputs[name].copy_(tensor, non_blocking=True)
            setattr(self.model, name, self.inputs[name])
        return True

    def _drop_if_loaded(self):
        """After a state has been loaded, graphs would work on tensors that are no longer used."""
        found = marks_of(self.model)
        if any(found.get(name) is not tensor for name, tensor in self.marks.items()):
            self.drop()
        self.marks = found

    # --- capture, comparison, replay ---------------------------------------------------------------------------------

    def _capture(self, kind):
        """Captures without computing; what the host counts in a step is put back."""
        model, counts = self.model, counts_of(self.model)
        rates = contextlib.nullcontext()
        if model.device.type == "cuda":
            self.rates = self.rates or capturing.Rates(model.optimizers, model.device)
            rates = self.rates.in_optimizers()
        try:
            with rates:
                kind.replay = self.graphs.capture(lambda: self._outcome(kind.tape))
        except InputError:
            raise
        except Exception as error:  # what can't be captured raises errors of many kinds
            self._switch_off(f"the step can't be captured ({compiling.first_line(error)})")
        set_counts(model, counts)

    def _outcome(self, tape):
        pending, before = self.model._updates.take(), dict(vars(self.model))
        with tape.reading():
            self.plain()
        made = self.model._updates.take()
        self._note(pending)
        return Outcome.of(self.model, before, made)

    def _note(self, made):
        for parameters, bad in made:
            self.model._updates.note(parameters, bad)

    def _replay(self, kind):
        kind.tape.refill()
        if self.rates is not None:
            self.rates.refill()
        steps = self.model._steps_begun
        kind.replay().publish(self.model)
        self.model._steps_begun = steps + 1

    def _check(self, kind):
        """Replays the step, takes it back, and makes it as ever; if they are equal, later steps are replayed."""
        model, start = self.model, Moment(self.model)
        pending = model._updates.take()
        with seeding.restored():
            self._replay(kind)
        replayed, losses = Moment(model), _losses(model)
        model._updates.take()
        self._note(pending)
        start.put_back()
        self._run()
        differences = [(_gap(losses[name], value), f"loss {name}") for name, value in _losses(model).items()]
        of_losses, in_place = LIMITS[model.device.type]
        found = max(differences), replayed.largest_difference(Moment(model), start)
        for (difference, name), limit in zip(found, (of_losses, in_place)):
            if not difference <= limit:
                return self._switch_off(f"a replay differs from the step in {name}, by {difference:.2g}")
        kind.checked = True

    def _switch_off(self, reason):
        self.off = True
        self.drop()
        print(f"--capture: {reason}, so the steps run as without it from here on")


def _form(tensor):
    return tensor.shape, tensor.stride(), tensor.dtype


def _losses(model):
    found = current_losses(model)
    return {name: float(v.detach() if isinstance(v, torch.Tensor) else v) for name, v in found.items()}


def _gap(value, expected):
    """Relative; of values below 0.01, in units of 0.01."""
    same = value == expected or (value != value and expected != expected)
    return 0.0 if same else abs(value - expected) / max(abs(expected), 0.01)
