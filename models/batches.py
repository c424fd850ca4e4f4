"""Several batches in one pass of a network (--economies), and one batch in several passes (--accumulate).

One pass for several batches is exact if a sample's output does not depend on its batch (no batch norm, no dropout): the
same multiply-adds are done in fewer, larger calls, and results differ by rounding only. On a CPU it took 0.75 to 1.01
of the time of two passes, with the largest gain on small maps. On a GPU a small batch leaves most of the device idle,
and every call costs a kernel launch.

With --accumulate N a step's batch is split into N micro-batches, whose gradients are summed. Only one micro-batch's
graph is in memory at a time. If the discriminator is updated before the generator, the generator's forward pass is run
twice for each micro-batch: without a graph for the discriminator's update, and again for its own. This is the price of
the saved memory. The result equals that of the whole batch under the same condition; batch norm and dropout see one
micro-batch at a time.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn

from models.architectures.adjustable import BATCH_NORM, DROPOUT
from util.numerics import capturing, seeding
from util.run.batch_slices import batch_size, split_batch
from util.run.loss_means import current_losses


class SharedPasses:
    """Decides which passes are shared, and keeps results of a shared pass until the model calls for them."""

    def __init__(self, economies: bool):
        self.economies = economies
        self._kept: dict[tuple, tuple] = {}

    def may_share(self, net: nn.Module) -> bool:
        """Whether several batches may pass through this network as one batch; its `one_batch_per_pass` forbids it."""
        return self.economies and not getattr(net, "one_batch_per_pass", False) and is_per_sample(net)

    def run(self, net: nn.Module, batches: Sequence[torch.Tensor | None], ahead: torch.Tensor | None) -> list:
        """net(batch) for each batch, None for None; a result that an earlier call computed ahead is returned as it is.

        If passes may be shared, net(ahead) is computed with them and kept for a later call.
        """
        kept = [self.take("output", net, batch) for batch in batches]
        waiting = [batch for batch, result in zip(batches, kept) if batch is not None and result is None]
        share = self.may_share(net)
        if share and ahead is not None and waiting and ahead.shape == waiting[0].shape:
            *made, result = run_batches(net, [*waiting, ahead], True)
            self.keep("output", net, ahead, result)
        else:
            made = run_batches(net, waiting, share)
        rest = iter(made)
        return [next(rest) if batch is not None and result is None else result for batch, result in zip(batches, kept)]

    def keep(self, kind: str, net: nn.Module, batch: torch.Tensor, result: Any) -> None:
        """Keep a result of the network for take(), until clear(). `kind` distinguishes the results of one batch."""
        self._kept[kind, id(net), id(batch)] = batch, result  # holding the batch keeps its id from being used again

    def take(self, kind: str, net: nn.Module, batch: torch.Tensor | None) -> Any:
        """Return and forget the result that keep() stored for this very tensor; None if there is none."""
        return self._kept.pop((kind, id(net), id(batch)), (None, None))[1]

    def clear(self) -> None:
        """Forget all kept results. Called before a forward pass, since they belong to earlier weights."""
        self._kept.clear()


def is_per_sample(*nets: nn.Module) -> bool:
    """Whether a sample's output is the same in every batch and in every pass.

    It is not for networks with batch norm, with dropout, with norms that update running statistics, with layers that
    draw noise (attribute `draws_per_sample`), and with spectral norms, whose estimate changes in each pass (attribute
    `iterates_per_pass`).
    """
    return not any(_mixes_samples(module) for net in nets for module in net.modules())


def _mixes_samples(module):
    own = any(getattr(module, name, False) for name in ("track_running_stats", "draws_per_sample", "iterates_per_pass"))
    return own or isinstance(module, (BATCH_NORM, DROPOUT))


def run_batches(function: Callable, batches: Sequence[torch.Tensor], share: bool) -> list:
    """[function(batch) for each batch], in one call if `share` is set and the batches have one shape."""
    if not share or len({batch.shape for batch in batches}) > 1 or len(batches) <= 1:
        return [function(batch) for batch in batches]
    return list(split(function(torch.cat(tuple(batches))), len(batches)))


def split(results: Any, parts: int) -> Sequence:
    """The results of a shared pass for each of its batches; lists and tuples in the result keep their nesting."""
    if isinstance(results, torch.Tensor):
        return results.chunk(parts)
    return [type(results)(each) for each in zip(*(split(result, parts) for result in results))]


class MicroBatches:
    """The slices of a step's batch, which become the model's input one after another through its take_part()."""

    def __init__(self, model: Any, batch: dict):
        self._model = model
        self._batch, self._images = batch, batch_size(batch)
        self._slices = split_batch(batch, model.opt.batch_size)
        self._made: list = [None] * len(self._slices)  # detached visuals of each slice before the generators' update

    def run(self, optimizers: list) -> Iterator[tuple[float, bool]]:
        """Runs forward() on each slice; yields (its share of the batch, whether it is the last).

        After the last slice, the model's losses are means over the whole batch.
        """
        names = self._model.generator_names
        learns = any(self._model._trains(optimizer, names) for optimizer in optimizers)
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
        """forward() of a slice. Discriminators that are updated after the generators get the images made before."""
        model, made = self._model, self._made[number]
        model.take_part(self._slices[number])
        model.keep_batch(self._batch)  # set_input() has kept the slice
        if not learns and made is not None:
            for name, value in made.items():
                setattr(model, name, value)
            return
        capturing.seeded(partial(self._seed, number))
        model._passes.clear()
        with torch.set_grad_enabled(learns):
            model.forward()
        if learns:
            visuals = {name: getattr(model, name, None) for name in model.visual_names}
            self._made[number] = {name: v.detach() for name, v in visuals.items() if torch.is_tensor(v)}

    def _seed(self, number):
        """Seed the draws of a slice; with --capture not those of a GPU, because a graph can't repeat this."""
        seeding.seed_part(number, accelerators=getattr(self._model._own, "capture", "no") != "yes")
        if self._model._decided is not None:
            self._model.decide()  # its draws, made before the step, are the first of each slice
