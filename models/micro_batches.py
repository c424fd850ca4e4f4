"""--accumulate N: a step's batch goes through the networks in N micro-batches, and their gradients are summed.

Only one micro-batch's graph is in memory at a time. Where the discriminator moves before the generator, the generator's
forward pass is made for the discriminator's update (without a graph) and again for its own: this is the price of the
saved memory. The result is that of the whole batch if each sample's output is independent of its batch; batch norm
and dropout see a micro-batch at a time.
"""

from collections.abc import Iterator
from typing import Any

import torch

from util.numerics import seeding
from util.run.loss_means import current_losses
from util.run.progress import batch_size


class MicroBatches:
    """The slices of a step's batch: each in turn becomes the model's input, through the model's take_part()."""

    def __init__(self, model: Any, batch: dict):
        self._model = model
        self._images = batch_size(batch)
        self._slices = split_batch(batch, model.opt.batch_size)
        self._made: list = [None] * len(self._slices)  # visuals of each slice before its generators moved, detached

    def run(self, optimizers: list) -> Iterator[tuple[float, bool]]:
        """Runs forward() on each slice; yields (its share of the batch, whether it is the last).

        After the last slice, the model's losses are means over the whole batch.
        """
        learns = self._update_generators(optimizers)
        before = current_losses(self._model)
        sums: dict = {}
        for number, part in enumerate(self._slices):
            self._forward(number, learns)
            share = batch_size(part) / self._images
            yield share, number == len(self._slices) - 1
            for name, value in current_losses(self._model).items():
                if value is not before.get(name):  # a term of this update
                    sums[name] = sums.get(name, 0) + (value.detach() if torch.is_tensor(value) else value) * share
        for name, value in sums.items():
            setattr(self._model, "loss_" + name.replace("/", "_"), value)

    def _forward(self, number, learns):
        """forward() of a slice. Discriminators that move after the generators judge what forward() made before."""
        model, made = self._model, self._made[number]
        model.take_part(self._slices[number])
        if not learns and made is not None:
            for name, value in made.items():
                setattr(model, name, value)
            return
        seeding.seed_part(number)
        model._passes.clear()
        with torch.set_grad_enabled(learns):
            model.forward()
        if learns:
            visuals = {name: getattr(model, name, None) for name in model.visual_names}
            self._made[number] = {name: v.detach() for name, v in visuals.items() if torch.is_tensor(v)}

    def _update_generators(self, optimizers):
        updated = {id(p) for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]}
        nets = self._model.networks_by_name()
        return any(id(p) in updated for name in self._model.generator_names for p in nets[name].parameters())


def split_batch(batch: dict, size: int) -> list[dict]:
    """Slices of at most `size` samples: of tensors and lists as long as the batch; other values are repeated."""
    images = batch_size(batch)

    def sliced(value, start):
        per_sample = isinstance(value, (torch.Tensor, list, tuple)) and len(value) == images
        return value[start : start + size] if per_sample else value

    return [{key: sliced(value, start) for key, value in batch.items()} for start in range(0, images, size)]
