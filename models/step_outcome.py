"""The changes of a training step: attributes of its model, and tensors in place. For models/captured_step.py."""

from typing import Any, NamedTuple

import torch

from util.run import states
from util.run.loss_means import current_losses

# Device -> the largest accepted differences between a replay and the normal step: of losses, relative; of tensors that
# change in place, relative to their change. Kernels on CUDA differ in rounding from run to run, and Adam makes a full
# step of a gradient that is only rounding; with stale images or random numbers both differences would be near 1.
LIMITS = {"cpu": (0.0, 0.0), "cuda": (0.05, 0.2)}


class Outcome(NamedTuple):
    """The attributes of a model that a step sets. The tensors have no gradients."""

    values: dict[str, Any]  # images and plain values
    losses: list[str]  # names of the attributes that are scalars on the device
    updated: list[list]  # the parameters of each update
    numbers: dict[torch.dtype, tuple[list[int], torch.Tensor]]  # of losses, then flags of updates: positions, values

    @classmethod
    def of(cls, model: Any, before: dict[str, Any], made: list[tuple[list, torch.Tensor]]) -> "Outcome":
        """`before`: the model's attributes before the step; `made`: the updates recorded by its Updates."""
        # The paths of the images are set with the batch, and again for each of its parts (--accumulate).
        own = {name: v for name, v in vars(model).items() if not name.startswith("_") and name != "image_paths"}
        assigned = {name: value for name, value in own.items() if before.get(name, cls) is not value}
        assigned = {name: v.detach() if isinstance(v, torch.Tensor) else v for name, v in assigned.items()}
        losses = [name for name, v in assigned.items() if isinstance(v, torch.Tensor) and v.dim() == 0]
        numbers = [*(assigned.pop(name) for name in losses), *(bad for _, bad in made)]
        places: dict[torch.dtype, list[int]] = {}
        for place, number in enumerate(numbers):
            places.setdefault(number.dtype, []).append(place)
        stacked = {dtype: (own, torch.stack([numbers[place] for place in own])) for dtype, own in places.items()}
        return cls(assigned, losses, [parameters for parameters, _ in made], stacked)

    def publish(self, model: Any) -> None:
        """Set the attributes. Scalars are copied, because they may be read after the next step."""
        numbers: dict[int, torch.Tensor] = {}
        for places, values in self.numbers.values():
            numbers.update(zip(places, values.clone().unbind()))
        for name, value in self.values.items():
            setattr(model, name, value)
        for place, name in enumerate(self.losses):
            setattr(model, name, numbers[place])
        for place, parameters in enumerate(self.updated, len(self.losses)):
            model._updates.note(parameters, numbers[place])


class Snapshot:
    """Copies on the CPU of tensors that a step changes in place, and the host's counters; put_back() restores them."""

    def __init__(self, model: Any):
        self.model = model
        self.tensors = {name: [t.detach().to("cpu", copy=True) for t in own] for name, own in changed_by(model).items()}
        self.counts = counts_of(model)

    @torch.no_grad()
    def put_back(self) -> None:
        for name, tensors in changed_by(self.model).items():
            for tensor, former in zip(tensors, self.tensors[name]):
                tensor.copy_(former)
        set_counts(self.model, self.counts)

    def largest_difference(self, expected: "Snapshot", start: "Snapshot") -> tuple[float, str]:
        """(largest difference from the expected moment, name of the tensor).

        It is the norm of the difference, relative to the norm of the change from the start to the expected moment.
        """
        found = []
        for name, tensors in self.tensors.items():
            change = _distance(expected.tensors[name], start.tensors[name])
            gap = _distance(expected.tensors[name], tensors)
            found.append((gap / change if change else gap, name))
        return max(found)


def why_unequal(losses: dict[str, float], replayed: Snapshot, start: Snapshot) -> str | None:
    """How a replay differs from the step that the model has made since from the same start; None if both are equal.

    `losses`, `replayed`: after the replay.
    """
    model = replayed.model
    differences = [(_gap(losses[name], value), f"loss {name}") for name, value in losses_of(model).items()]
    found = max(differences), replayed.largest_difference(Snapshot(model), start)
    for (difference, name), limit in zip(found, LIMITS[model.device.type]):
        if not difference <= limit:
            return f"a replay differs from the step in {name}, by {difference:.2g}"
    return None


def losses_of(model: Any) -> dict[str, float]:
    found = current_losses(model)
    return {name: float(v.detach() if isinstance(v, torch.Tensor) else v) for name, v in found.items()}


def _gap(value, expected):
    """The relative difference; for expected values below 0.01, in units of 0.01."""
    same = value == expected or (value != value and expected != expected)
    return 0.0 if same else abs(value - expected) / max(abs(expected), 0.01)


def _distance(these, those):
    squares = (((a.double() - b.double()).nan_to_num() ** 2).sum() for a, b in zip(these, those))
    return float(sum(squares)) ** 0.5


def changed_by(model: Any) -> dict[str, list[torch.Tensor]]:
    """The tensors that a step changes in place, by name."""
    found = {}
    for name, net in model.networks_by_name().items():
        found[f"net{name}"] = list(net.parameters())
        found[f"the buffers of net{name}"] = list(net.buffers())
    for name, tensor in _tensors_of_optimizers(model):
        found.setdefault(name, []).append(tensor)
    for name, pool in states.pools_of(model).items():
        found[name] = [] if pool.slots is None else [pool.slots[:-1]]
    if model._ema is not None:
        averages = [tensor for own in model._ema.averages.values() for tensor in own.values()]
        found["the averaged weights"] = [*averages, *(each for each in [model._ema.updates] if torch.is_tensor(each))]
    return found


def _tensors_of_optimizers(model):
    for number, optimizer in enumerate(model.optimizers):
        for state in optimizer.state.values():
            yield from ((f"{name} of optimizer {number}", value) for name, value in state.items())
    yield from (("the scales", tensor) for tensor in model._precision.tensors())


def counts_of(model: Any) -> tuple:
    """The counters of a step on the host."""
    updates = None if model._ema is None or torch.is_tensor(model._ema.updates) else model._ema.updates
    return model._steps_begun, [pool.filled for pool in states.pools_of(model).values()], updates


def set_counts(model: Any, counts: tuple) -> None:
    """Set what counts_of() returned."""
    model._steps_begun, filled, updates = counts
    for pool, number in zip(states.pools_of(model).values(), filled):
        pool.filled = number
    if updates is not None:
        model._ema.updates = updates


def marks_of(model: Any) -> dict[Any, Any]:
    """Tensors that a step changes in place, and that loading a state replaces by other tensors."""
    marks: dict[Any, Any] = {
        name: pool.slots for name, pool in states.pools_of(model).items() if pool.slots is not None
    }
    for number, optimizer in enumerate(model.optimizers):
        for state in list(optimizer.state.values())[:1]:
            marks[number] = state["exp_avg"]
    if model._ema is not None and torch.is_tensor(model._ema.updates):
        marks["updates"] = model._ema.updates
    return marks
