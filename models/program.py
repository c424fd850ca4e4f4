"""A trained run as a torch module for export, which takes images of any height, width and batch size."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from models.architectures.adjustable import BATCH_NORM, DROPOUT, INSTANCE_NORM
from models.translator import FOREIGN_MULTIPLE, FOREIGN_SMALLEST, Translator


class Padded(nn.Module):
    """A generator whose input is padded and whose output is cropped by operations that torch.export can trace."""

    def __init__(self, net: nn.Module, multiple: int) -> None:
        super().__init__()
        self.net, self.multiple = net, multiple

    def forward(self, images: torch.Tensor, *condition: Any) -> torch.Tensor:
        made = self.net(pad_by_index(images, self.multiple), *condition)
        # Not made[..., :height, :width]: torch.export cannot prove that the padded size is at least the image's size.
        rows, columns = (_numbers(side, made) for side in images.shape[-2:])
        return made.index_select(2, rows).index_select(3, columns)


class Program(nn.Module):
    """The computation of ``translator(images)`` as a module, including padding to the stride and cropping back.

    (N, C, H, W) in [-1, 1] in and out; with `processing`, (N, H, W, C) uint8 in and out. The translator's networks
    are changed: norms with batch statistics normalise each sample by its own statistics, as a translator does by
    passing the samples one by one, and dropout is off, because a program cannot draw the translator's random numbers.
    """

    def __init__(self, translator: Translator, condition: dict[str, Any], processing: bool = False) -> None:
        super().__init__()
        model = translator.model
        self.condition, self.processing, self.channels = condition, processing, translator.input_channels()
        self.data_range: tuple[float, float] = translator.data_range() or (0, 255)
        generators = {f"net{name}": getattr(model, f"net{name}") for name in model.generator_names}
        self.multiple = max((getattr(net, "multiple_of", 0) for net in generators.values()), default=0)
        self.smallest = max((getattr(net, "smallest", 0) for net in generators.values()), default=0)
        if self.multiple:
            for name, net in generators.items():
                setattr(model, name, Padded(net, net.multiple_of))
            self.translate: Callable = model.translate
        else:  # a plug-in's generator does not pad its images
            self.multiple, self.smallest = FOREIGN_MULTIPLE, FOREIGN_SMALLEST
            self.translate = _PaddedModel(model)
        self.nets = nn.ModuleDict({name: part for name, part in vars(model).items() if isinstance(part, nn.Module)})
        self.drops = switch_off_draws([self.nets])
        use_sample_statistics(self.nets)

    @property
    def smallest_side(self) -> int:
        """The smallest height and width of an input image. (The translator takes smaller ones, too.)"""
        return max(2, self.smallest - self.multiple + 1)

    @property
    def labels(self) -> list[str]:
        """Names of the values of a second input (N, values); none for a program that takes images alone."""
        return []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.made(images, **self.condition)

    def made(self, images: torch.Tensor, **condition: Any) -> torch.Tensor:
        """The translations of the images under a condition, as a program gives them."""
        if self.processing:
            low, high = self.data_range
            images = images.permute(0, 3, 1, 2).float().sub(low).div(high - low).mul(2).sub(1)  # (N, C, H, W)
        made = next(iter(self.translate(images, **condition).values()))
        if self.processing:
            made = made.float().add(1).div(2).mul(high - low).add(low)
            made = made.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)
        return made

    def example(self, batch: int) -> tuple[torch.Tensor, ...]:
        """Images of constant value, with sides that are no multiples of the stride, and labels of zeros."""
        rows, columns = self._example_size()
        labels = (torch.zeros(batch, len(self.labels)),) if self.labels else ()
        if self.processing:
            return torch.zeros(batch, rows, columns, self.channels, dtype=torch.uint8), *labels
        return torch.zeros(batch, self.channels, rows, columns), *labels

    def _example_size(self) -> tuple[int, int]:
        side = 2 * max(self.multiple, 16)
        return side + 3, side + 1

    def noise(self, takes: dict[str, bool]) -> list[tuple[torch.Tensor, ...]]:
        """Inputs of noise with random sizes, or with the example's size if the program takes no other."""
        draw = np.random.default_rng(0)
        side = max(self.multiple, 32)
        found: list[tuple[torch.Tensor, ...]] = []
        for batch in (1, 3, 1) if takes["batch"] else (1, 1, 1):
            low = max(self.smallest_side, side // 2)
            size = draw.integers(low, 2 * side, 2) if takes["size"] else self._example_size()
            images = torch.from_numpy(draw.random((batch, self.channels, *size), dtype=np.float32))
            images = (images.permute(0, 2, 3, 1) * 255).byte() if self.processing else images * 2 - 1
            labels = torch.from_numpy(draw.integers(0, 2, (batch, len(self.labels)))).float()
            found.append((images, labels) if self.labels else (images,))
        return found

    def description(self) -> dict[str, Any]:
        """Layout, value range and size of input and output, in words, for whoever runs the exported file."""
        inside = {"size": "padded to a multiple of the stride by reflection, and cropped back, inside the program"}
        colours = ", channels R, G, B" if self.channels == 3 else ""
        if self.processing:
            layout = f"uint8 (N, H, W, C), as decoded{colours}"
            before = after = "none, it is inside the program"
        else:
            layout = f"float32 (N, C, H, W) in [-1, 1]{colours}"
            low, high = self.data_range
            before = f"2 * (x - low) / (high - low) - 1 with low = {low:g}, high = {high:g}"
            after = f"(y + 1) / 2 * (high - low) + low with low = {low:g}, high = {high:g}, rounded and clipped"
        return {
            **{"input": layout, "output": layout, "preprocessing": before, "postprocessing": after, **inside},
            **{"input_channels": self.channels, "stride": self.multiple, "smallest_side": self.smallest_side},
            **{word: OFF if word in self.drops else "none" for word in ("dropout", "noise")},
        }


class LabelledProgram(Program):
    """A Program of a model with many targets: its second input are the target labels (N, values)."""

    def __init__(self, translator: Translator, processing: bool = False) -> None:
        super().__init__(translator, {}, processing)
        model: Any = translator.model
        self._names: list[str] = model.labels.columns()

    @property
    def labels(self) -> list[str]:
        return self._names

    def forward(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return self.made(images, target=labels)

    def description(self) -> dict[str, Any]:
        return {
            **super().description(),
            "labels": f"second input, float32 (N, {len(self.labels)}): 1 for what the result should have, else 0",
            "label_names": self.labels,
        }


class _PaddedModel:
    """translate() of a model whose generators do not pad their images."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def __call__(self, images: torch.Tensor, **condition: Any) -> dict[str, torch.Tensor]:
        padded = pad_by_index(images, FOREIGN_MULTIPLE)
        rows, columns = (_numbers(side, images) for side in images.shape[-2:])
        made = self.model.translate(padded, **condition)
        return {name: each.index_select(2, rows).index_select(3, columns) for name, each in made.items()}


OFF = "off; the run's tests draw it at random"


def switch_off_draws(nets: Iterable[nn.Module]) -> list[str]:
    """Switch off dropout layers and layers that add noise; returns which were found: "dropout", "noise"."""
    parts = [part for net in nets for part in net.modules()]
    dropout = [part for part in parts if isinstance(part, DROPOUT) and part.training]
    noise: list[Any] = [part for part in parts if getattr(part, "draws_per_sample", False)]
    for part in dropout:
        part.eval()
    for part in noise:
        part.draws_per_sample = False
    return ["dropout"] * bool(dropout) + ["noise"] * bool(noise)


class SampleNorm(nn.Module):
    """Normalises each sample (N, C, H, W) by its own statistics, as a norm in training mode does for a single image."""

    def __init__(self, norm: Any) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = norm.weight, norm.bias, norm.eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.instance_norm(x, weight=self.weight, bias=self.bias, eps=self.eps)


def use_sample_statistics(nets: nn.Module) -> None:
    """Replace the norms that would use statistics of the batch, or update their running statistics."""
    for parent in list(nets.modules()):
        for name, part in parent.named_children():
            tracks = isinstance(part, INSTANCE_NORM) and part.track_running_stats
            if (tracks or isinstance(part, BATCH_NORM)) and part.training:
                setattr(parent, name, SampleNorm(part))


def pad_by_index(images: torch.Tensor, multiple: int) -> torch.Tensor:
    """pad_to_multiple() of architectures/layers.py without branches.

    torch.export keeps only one branch of an ``if`` on a size, so rows and columns are gathered by computed indices.
    """
    height, width = images.shape[-2:]
    rows, columns = (_numbers((side + multiple - 1) // multiple * multiple, images) for side in (height, width))
    mirrored_rows, mirrored_columns = 2 * (height - 1) - rows, 2 * (width - 1) - columns
    reflects = (mirrored_rows.min() >= 0) & (mirrored_columns.min() >= 0)
    rows = torch.where(rows < height, rows, torch.where(reflects, mirrored_rows, height - 1))
    columns = torch.where(columns < width, columns, torch.where(reflects, mirrored_columns, width - 1))
    return images.index_select(2, rows).index_select(3, columns)


def _numbers(count: int, beside: torch.Tensor) -> torch.Tensor:
    return torch.arange(count, device=beside.device)
