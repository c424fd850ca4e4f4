"""How batches go through networks: several batches in one pass (--economies), or one in several (--accumulate).

One pass for several batches is exact if each sample's output is independent of its batch (no batch norm, no dropout):
the same multiply-adds are then done in fewer, larger calls, and results differ by rounding alone. On a CPU this never
measured slower (0.75 to 1.01 of the time of two passes, the largest gain on small maps); on a GPU a small batch leaves
most of the device idle, and every call costs a launch.

With --accumulate N a step's batch goes through in N micro-batches, and their gradients are summed. Only one
micro-batch's graph is in memory at a time. Where the discriminator moves before the generator, the generator's forward
pass is made for the discriminator's update (without a graph) and again for its own: this is the price of the saved
memory. The result is that of the whole batch under the same condition; batch norm and dropout see a micro-batch at a
time.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import nn

from util.numerics import seeding
from util.run.loss_means import current_losses
from util.run.progress import batch_size, split_batch


class SharedPasses:
    """Decides which passes are shared, and keeps results that a shared pass gave before a page asks for them."""

    def __init__(self, economies: bool):
        self.economies = economies
        self._kept: dict[tuple, tuple] = {}

    def may_share(self, net: nn.Module) -> bool:
        """Whether several batches may go through this network as one batch."""
        return self.economies and is_per_sample(net)

    def run(self, net: nn.Module, batches: Sequence[torch.Tensor | None], ahead: torch.Tensor | None) -> list:
        """net(batch) for each batch, None for None; also computes net(ahead) for a later call, if the pass is shared.

        A result that was computed ahead is taken instead of a pass.
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
        """Keep a result of the network for take(), until clear(). `kind` tells different results of a batch apart."""
        self._kept[kind, id(net), id(batch)] = batch, result  # holding the batch keeps its id from being used again

    def take(self, kind: str, net: nn.Module, batch: torch.Tensor | None) -> Any:
        """The result that keep() got for exactly this batch, once; otherwise None."""
        return self._kept.pop((kind, id(net), id(batch)), (None, None))[1]

    def clear(self) -> None:
        """Before a forward pass: results that were not taken belong to former weights."""
        self._kept.clear()


def is_per_sample(*nets: nn.Module) -> bool:
    """Whether a sample's output is the same in any batch and in any pass.

    It is not with statistics over the batch, with dropout, with norms that count the batches they have seen, with
    layers that draw noise, which have a true attribute `draws_per_sample`, and with spectral norms, whose estimate
    moves in each pass (`iterates_per_pass`).
    """
    return not any(_mixes_samples(module) for net in nets for module in net.modules())


def _mixes_samples(module):
    mixing = (nn.modules.batchnorm._BatchNorm, nn.modules.dropout._DropoutNd)
    own = any(getattr(module, name, False) for name in ("track_running_stats", "draws_per_sample", "iterates_per_pass"))
    return own or isinstance(module, mixing)


def run_batches(function: Callable, batches: Sequence[torch.Tensor], share: bool) -> list:
    """[function(batch) for each batch], in one call if `share` is set and the batches have one shape."""
    if not share or len({batch.shape for batch in batches}) > 1 or len(batches) <= 1:
        return [function(batch) for batch in batches]
    return list(split(function(torch.cat(tuple(batches))), len(batches)))


def split(results: Any, parts: int) -> Sequence:
    """The results of a shared pass for each of its batches, nested in lists and tuples as they came."""
    if isinstance(results, torch.Tensor):
        return results.chunk(parts)
    return [type(results)(each) for each in zip(*(split(result, parts) for result in results))]


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
