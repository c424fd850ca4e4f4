"""Mean losses since the last print, added up on their device, so that the host waits for it only at a print."""

from collections import OrderedDict

import torch

from util.processes import distributed


class Averages:
    """Call ``add()`` after every step and ``take()`` where losses are printed.

    Steps are weighted by their images. A loss that a step does not compute keeps its last value. For a model that
    overrides get_current_losses(), its current losses are reported instead of means.
    """

    differs_by_rank = True  # see Checkpoint: each rank adds up the losses of its own images

    def __init__(self, model):
        self.model = model
        self._reports_own = model.reports_own_losses()
        self._clear()

    def _clear(self):
        self._tensors = {}  # names -> (their sums in one tensor, images that went into it)
        self._numbers = {}  # name -> (sum, images), of losses that are plain numbers

    def add(self, images):
        """Add the losses of a step that had `images` images on this rank."""
        found = {} if self._reports_own else current_losses(self.model)
        # A term that is switched off may be a tensor on the CPU or a number, which are read without waiting.
        names = tuple(name for name, value in found.items() if is_on(self.model.device, value))
        if names:
            values = torch.stack([found[name].detach().float().mean() for name in names]) * images
            before, count = self._tensors.get(names, (0, 0))
            self._tensors[names] = before + values, count + images
        for name in found.keys() - names:
            before, count = self._numbers.get(name, (0, 0))
            self._numbers[name] = before + float(found[name]) * images, count + images

    def take(self):
        """Name -> mean over the images of all processes since the last call. Collective."""
        if self._reports_own:
            return mean_over_ranks(self.model.get_current_losses())
        sums, counts = {}, {}
        for name, value, count in self._parts():
            sums[name], counts[name] = sums.get(name, 0) + value, counts.get(name, 0) + count
        self._clear()
        sums, counts = distributed.sum_by_name(sums), distributed.sum_by_name(counts)
        if any(counts.get(name, 0) == 0 for name in names_of(self.model)):
            return mean_over_ranks(self.model.get_current_losses())  # its error names the missing attribute
        return OrderedDict((name, sums[name] / counts[name]) for name in names_of(self.model))

    def _parts(self):
        for names, (values, count) in self._tensors.items():
            yield from ((name, value, count) for name, value in zip(names, values.tolist()))
        yield from ((name, value, count) for name, (value, count) in self._numbers.items())

    def state_dict(self):
        """The sums since the last print, so that a resumed run prints the same next means."""
        tensors = [[list(names), values.tolist(), count] for names, (values, count) in self._tensors.items()]
        return {"tensors": tensors, "numbers": {name: list(pair) for name, pair in self._numbers.items()}}

    def load_state_dict(self, state):
        device = self.model.device
        self._tensors = {
            tuple(names): (torch.tensor(values, device=device), count) for names, values, count in state["tensors"]
        }
        self._numbers = {name: tuple(pair) for name, pair in state["numbers"].items()}


def is_on(device, value):
    return isinstance(value, torch.Tensor) and value.device.type == device.type


def names_of(model):
    return [name for name in model.loss_names if isinstance(name, str)]


def current_losses(model):
    """Name -> the model's loss, a tensor or a number, without losses that are not computed yet."""
    found = {name: getattr(model, "loss_" + name.replace("/", "_"), None) for name in names_of(model)}
    return {name: value for name, value in found.items() if value is not None}


def mean_over_ranks(losses):
    """Name -> mean over the images of the step. Collective."""
    total = distributed.sum_by_name({name: value * distributed.step_weight() for name, value in losses.items()})
    return OrderedDict((name, total[name]) for name in losses)
