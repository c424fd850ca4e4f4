"""--capture: a model's optimize_parameters() as CUDA graphs, one for each kind of step; see util/numerics/capturing.py.

The kinds are the results of the model's decide(). For each kind, the first steps run normally, and their random numbers
are recorded; then a step is captured and also run normally; in the next step a replay is compared with the normal step,
from the same weights, images and random numbers. Later steps are replayed.

With several processes the graphs contain the exchange of gradients, so all processes must do the same in every step: a
step counts only if their batches are alike, and they give up graphs together. Gloo's collectives are not part of a step
(those of NCCL can be captured).
"""

import contextlib
from typing import Any

import torch

from models.capturable import why_not
from models.step_outcome import Outcome, Snapshot, counts_of, losses_of, marks_of, set_counts, why_unequal
from util.errors import InputError
from util.numerics import capturing, compiling, seeding
from util.processes import distributed
from util.run import states

WARM_UP = 3  # steps before a capture, in which libraries choose their kernels
OFTEN = 8  # steps in a row after which images of another size are captured


def begin(model: Any) -> None:
    """For --capture: replace the model's optimize_parameters(), or print the reason why that is not possible."""
    word = getattr(model._own, "capture", "auto")
    if word != "yes" or not model.isTrain:
        return
    reason = why_not(model)
    if reason is not None:
        print(f"--capture {word}: {reason}, so the steps run as without it")
        return
    if model.device.type == "cpu":
        print(f"--capture {word}: a CPU has no graphs, so each step is called instead of a replay")
    graphs = capturing.CudaGraphs(model.device) if model.device.type == "cuda" else capturing.Calls()
    model.optimize_parameters = step = CapturedStep(model, graphs)
    distributed.before_leaving(step.drop)


def warm_up(compile: str) -> int:
    """The number of steps of a kind before its capture, for a value of --compile."""
    return WARM_UP if compile == "none" else WARM_UP + compiling.OFTEN


def steps_before_replays(compile: str) -> int:
    """The number of steps of a kind before every step is a replay: a capture and a comparison follow warm_up()."""
    return warm_up(compile) + 2


class StepKind:
    """A kind of step: its random numbers, its graph, and the progress of its capture."""

    def __init__(self) -> None:
        self.tape = capturing.Tape()
        self.steps = 0  # that have been made
        self.replay: Any = None
        self.checked = False


class CapturedStep:
    """Replaces a model's optimize_parameters()."""

    def __init__(self, model: Any, graphs: capturing.CudaGraphs | capturing.Calls):
        self.model, self.graphs = model, graphs
        self.plain = model.optimize_parameters
        self.warm_up = warm_up(model._own.compile)
        self.off = False
        self.kinds: dict[tuple, StepKind] = {}
        self.inputs: dict[str, torch.Tensor] = {}  # the tensors that the graphs read; batches are copied to them
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
                self._advance(self.kinds.setdefault((*sorted(model._decided.items()), modes), StepKind()))
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
            start = Snapshot(self.model)
            self._capture(kind)
            self._run_beside_graphs(start)
        else:
            self._check(kind)

    def _run(self):
        """Run the step normally."""
        with self.graphs.aside():
            self.plain()

    def _run_beside_graphs(self, start):
        """The step as ever, for which graphs may leave too little memory: then from its start again without graphs."""
        try:
            return self._run()
        except torch.OutOfMemoryError:
            if self.off or distributed.world_size() > 1:  # other processes wait for the rest of this step
                raise
        start.put_back()
        self._switch_off("graphs leave too little memory for a step beside them")
        self._run()

    def drop(self) -> None:
        """Delete all graphs; they are captured again."""
        if any(kind.replay for kind in self.kinds.values()):
            self.graphs.release()
        self.kinds, self.marks, self.rates = {}, {}, None

    def _takes_batch(self):
        """Copy the batch to the tensors that the graphs read; False for a batch of another size."""
        if not distributed.step_is_even():
            return False
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
        if self.model._batch is not None:  # --accumulate: its parts are slices of these tensors
            inputs = {id(tensor): self.inputs[name] for name, tensor in batch.items()}
            self.model._batch = {name: inputs.get(id(value), value) for name, value in self.model._batch.items()}
        return True

    def _drop_if_loaded(self):
        """Delete the graphs after a state was loaded, because their tensors are no longer used."""
        found = marks_of(self.model)
        if any(found.get(name) is not tensor for name, tensor in self.marks.items()):
            self.drop()
        self.marks = found

    # --- capture, comparison, replay ---------------------------------------------------------------------------------

    def _capture(self, kind):
        """Capture a step, which computes nothing; the counters of the host are restored."""
        model, counts, problem = self.model, counts_of(self.model), None
        rates = contextlib.nullcontext()
        if model.device.type == "cuda":
            self.rates = self.rates or capturing.Rates(model.optimizers, model.device)
            rates = self.rates.in_optimizers()
        try:
            with rates:
                kind.replay = self.graphs.capture(lambda: self._outcome(kind.tape))
        except InputError:
            raise
        except Exception as error:  # operations that can't be captured raise many types of errors
            problem = f"the step can't be captured ({compiling.first_line(error)})"
        set_counts(model, counts)
        self._give_up_for(problem)

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
        """Replay the step, undo it, and run it normally; if both are equal, later steps are replayed."""
        model, start = self.model, Snapshot(self.model)
        pending = model._updates.take()
        with seeding.restored():
            self._replay(kind)
        replayed, losses = Snapshot(model), losses_of(model)
        model._updates.take()
        self._note(pending)
        start.put_back()
        self._run_beside_graphs(start)
        kind.checked = not self.off and not self._give_up_for(why_unequal(losses, replayed, start))

    def _give_up_for(self, problem):
        """Switch graphs off if a process has a problem, an explanation or None; returns whether one has. Collective."""
        problems = [each for each in distributed.gather(problem) if each is not None]
        if problems:
            self._switch_off(problems[0])
        return bool(problems)

    def _switch_off(self, reason):
        self.off = True
        self.drop()
        print(f"--capture: {reason}, so the steps run as without it from here on")


def _form(tensor):
    return tensor.shape, tensor.stride(), tensor.dtype
