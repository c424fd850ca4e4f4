"""--economies: one pass through a network for several batches, where that is exact.

It is exact if each sample's output is independent of its batch (no batch norm, no dropout): the same multiply-adds
are then done in fewer, larger calls, and results differ by rounding alone. On a CPU this never measured slower (0.75
to 1.01 of the time of two passes, the largest gain on small maps); on a GPU a small batch leaves most of the device
idle, and every call costs a launch.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn


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

    It is not with statistics over the batch, with dropout, and with norms that count the batches they have seen.
    """
    return not any(_mixes_samples(module) for net in nets for module in net.modules())


def _mixes_samples(module):
    mixing = (nn.modules.batchnorm._BatchNorm, nn.modules.dropout._DropoutNd)
    return isinstance(module, mixing) or getattr(module, "track_running_stats", False)


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
