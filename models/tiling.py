"""Translation of a large image in tiles, with memory that depends on the size of the tile and not of the image.

A tile of T x T pixels is translated with `overlap` pixels of its surroundings at every side, so the network gets
windows of at most T + 2 overlap. Adjacent tiles are blended linearly over a quarter of the overlap at each side of
their border.

A norm that computes mean and variance from the image (instance norm; batch norm outside eval mode) would normalise each
tile by the tile's own statistics, and give each tile other colours. Its statistics are therefore computed from all
tiles. They depend on the norms before it, so all tiles are passed once for each norm, up to that norm, and once more
for the result: n norms cost about n / 2 + 1 times the calculations of the whole image, 12 times for a ResNet of 9
blocks. With `samples`, only this many tiles, spread over the image, are used for the statistics, as an estimate.

The result equals that of the whole image except for rounding (1e-10 in float64, 1e-3 in float32 with values in [-1, 1])
if

- three quarters of the overlap are at least the radius of the receptive field: 44 pixels for resnet_4blocks, 60 for
  resnet_6blocks, 84 for resnet_9blocks, and 9 more with antialiasing. If no overlap is given, models/reach.py measures
  this radius. With a smaller overlap pixels near the borders of tiles differ slightly;
- no statistics are estimated from `samples`;
- the network draws no random numbers (dropout), since each tile would draw its own.

The receptive field of a U-Net is the whole image, so its result in tiles differs. A Notice states which of these
conditions is not met.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from models.architectures.adjustable import BATCH_NORM, INSTANCE_NORM
from util.errors import InputError


class Span(NamedTuple):
    """A tile along one axis, in pixels: the range of the tile (start, stop) and of its window (first, last)."""

    start: int
    stop: int
    first: int
    last: int


class Tiling(NamedTuple):
    """The sizes of tiles in pixels; see the module's docstring."""

    tile: int
    overlap: int | None = None  # None: what the network needs
    samples: int | None = None

    def check(self) -> None:
        """InputError for sizes that are no whole numbers, or too small."""
        lowest = {"tile": 16, "overlap": 0, "samples": 1}
        for name, value in self._asdict().items():
            if value is not None and (not isinstance(value, int) or value < lowest[name]):
                word = name if name == "tile" else f"tile_{name}"
                raise InputError(f"{word} {value!r}: expected a whole number of {lowest[name]} or more")

    def spans(self, side: int, multiple: int) -> list[Span]:
        """The tiles along an axis of `side` pixels; ranges and windows start at multiples of `multiple`."""
        assert self.overlap is not None
        tile, overlap = (-(-each // multiple) * multiple for each in (self.tile, self.overlap))
        return [
            Span(start, min(start + tile, side), max(0, start - overlap), min(start + tile + overlap, side))
            for start in range(0, side, tile)
        ]


class _Measured(Exception):
    """Ends a pass at the norm whose statistics it measures."""


class _Statistics:
    """Mean and variance of each norm over all tiles, in the order in which a pass runs the norms."""

    def __init__(self) -> None:
        self.multiple = 4  # sides of windows are padded to multiples of it
        self.known: list[tuple[torch.Tensor, torch.Tensor]] = []
        self.met = 0  # number of norms that the current pass has reached
        self.core: tuple[Span, Span] | None = None  # rows and columns of the tile of the current pass
        self._sums: tuple = (0, 0.0, 0.0)  # places, their sum, the sum of their squares, in float64

    def begin(self, rows: Span, columns: Span) -> None:
        self.met, self.core = 0, (rows, columns)

    def next(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The statistics of the norm that the pass has reached, whose input is x (1, C, h, w)."""
        self.met += 1
        if self.met <= len(self.known):
            return self.known[self.met - 1]
        self._dtype = x.dtype
        own = self._core_of(x).double()
        count, total, squares = self._sums
        self._sums = (
            count + own.shape[2] * own.shape[3],
            total + own.sum((0, 2, 3)),
            squares + own.square().sum((0, 2, 3)),
        )
        raise _Measured

    def _core_of(self, x):
        """The part of a map that belongs to the tile and not to its surroundings, so that no pixel counts twice."""
        assert self.core is not None
        for dim, span in zip((2, 3), self.core):
            scale = x.shape[dim] / (-(-(span.last - span.first) // self.multiple) * self.multiple)
            start = round((span.start - span.first) * scale)
            stop = x.shape[dim] if span.stop == span.last else round((span.stop - span.first) * scale)
            x = x.narrow(dim, min(start, x.shape[dim] - 1), max(1, stop - start))
        return x

    def close(self) -> None:
        """Compute the statistics of the next norm from the sums over all tiles."""
        count, total, squares = self._sums
        mean = total / count
        self.known.append((mean.to(self._dtype), (squares / count - mean.square()).clamp(min=0).to(self._dtype)))
        self._sums = (0, 0.0, 0.0)


class SharedNorm(nn.Module):
    """A norm with the statistics of the whole image."""

    def __init__(self, norm: Any, statistics: _Statistics) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = norm.weight, norm.bias, norm.eps
        self.statistics = statistics

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean, var = self.statistics.next(x)
        return F.batch_norm(x, mean, var, self.weight, self.bias, False, 0.0, self.eps)


class TiledModel:
    """A model whose generators are copies with SharedNorms; for one image and one thread at a time."""

    def __init__(self, model) -> None:
        self.model = copy.copy(model)
        self.statistics = _Statistics()
        for name in model.generator_names:
            net = copy.deepcopy(getattr(model, "net" + name))
            net._compiled_call_impl = None  # the compiled code has the former norms
            self.statistics.multiple = max(self.statistics.multiple, getattr(net, "multiple_of", 4))
            setattr(self.model, "net" + name, _share(net, self.statistics))
        if not model.generator_names:
            raise InputError(f"tile: --model {model.opt.model} declares no generator_names, whose norms tiles need")

    def translate(
        self,
        get: Callable[[slice, slice], torch.Tensor],
        size: tuple[int, int],
        tiling: Tiling,
        run: Callable[[torch.Tensor], torch.Tensor],
    ) -> Iterator[tuple[slice, torch.Tensor]]:
        """Yields (rows, (1, C', rows, W) of the result) from top to bottom, for an image of `size` = (H, W).

        `get(rows, columns)` returns a window (1, C, h, w) of the image; `run(window)` translates it by self.model.
        """
        rows, columns = (tiling.spans(side, self.statistics.multiple) for side in size)
        self._measure(get, rows, columns, tiling, run)
        assert tiling.overlap is not None
        ramp = min(tiling.overlap // 4, tiling.tile // 2)
        strip, top = None, 0  # the incomplete rows, which begin at row `top`
        for row in rows:
            low, high = max(0, row.start - ramp), min(size[0], row.stop + ramp)
            for column in columns:
                made = self._run(get, row, column, run)
                left, right = max(0, column.start - ramp), min(size[1], column.stop + ramp)
                made = made[..., low - row.first : high - row.first, left - column.first : right - column.first]
                weights = _weights(row, low, high, ramp, size[0])[:, None] * _weights(
                    column, left, right, ramp, size[1]
                )
                if strip is None:
                    strip = made.new_zeros((*made.shape[:2], high - top, size[1]))
                if strip.shape[2] < high - top:
                    strip = F.pad(strip, (0, 0, 0, high - top - strip.shape[2]))
                strip[..., low - top : high - top, left:right] += made * weights.to(made)
            assert strip is not None
            complete = size[0] if row is rows[-1] else row.stop - ramp
            yield slice(top, complete), strip[..., : complete - top, :]
            strip, top = strip[..., complete - top :, :].clone(), complete

    def _measure(self, get, rows, columns, tiling, run):
        """Run the passes that measure each norm, until all norms have statistics."""
        self.statistics.known.clear()
        tiles = [(row, column) for row in rows for column in columns]
        if tiling.samples is not None and tiling.samples < len(tiles):
            tiles = [tiles[int((i + 0.5) * len(tiles) / tiling.samples)] for i in range(tiling.samples)]
        while True:
            for row, column in tiles:
                try:
                    made = self._run(get, row, column, run)
                except _Measured:
                    continue
                assert made is not None
                return
            self.statistics.close()

    def _run(self, get, row, column, run):
        self.statistics.begin(row, column)
        return run(get(slice(row.first, row.last), slice(column.first, column.last)))


def _share(net: nn.Module, statistics: _Statistics) -> nn.Module:
    """Replace the norms of a network that compute their statistics from the image."""
    for module in list(net.modules()):
        for name, part in module.named_children():
            is_norm = isinstance(part, (INSTANCE_NORM, BATCH_NORM))
            if is_norm and (part.training or not part.track_running_stats):
                setattr(module, name, SharedNorm(part, statistics))
    return net


def _weights(span: Span, low: int, high: int, ramp: int, side: int) -> torch.Tensor:
    """Weights of the pixels from `low` to `high`: 1 in the tile, with a ramp across each border to another tile."""
    places = torch.arange(low, high, dtype=torch.float64) + 0.5
    weights = torch.ones_like(places)
    if ramp and span.start > 0:
        weights = weights.minimum((places - (span.start - ramp)) / (2 * ramp))
    if ramp and span.stop < side:
        weights = weights.minimum((span.stop + ramp - places) / (2 * ramp))
    return weights
