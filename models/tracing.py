"""Exports a Program (models/program.py) by torch.export, and measures the difference of its results."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch

from models.program import Program
from util.errors import InputError


def export(program: Program) -> tuple[Any, dict[str, bool]]:
    """(torch.export program, {"batch": ..., "size": ...}: whether it takes any batch size, any height and width).

    Raises InputError with torch's reason if the network can't be exported.
    """
    from torch.export import Dim

    rows, columns = (Dim(name, min=program.smallest_side) for name in ("rows", "columns"))
    first = 1 if program.processing else 2
    size, reason = {first: rows, first + 1: columns}, ""
    for any_batch, any_size in ((True, True), (False, True), (False, False)):
        batch = {0: Dim("batch")} if any_batch else {}
        shapes = {"images": {**batch, **(size if any_size else {})}, **({"labels": batch} if program.labels else {})}
        try:
            exported = _trace(program, program.example(2 if any_batch else 1), shapes)
            return exported, {"batch": any_batch, "size": any_size}
        except Exception as error:  # torch.export raises many types; the last attempt has the fewest demands
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    raise InputError(f"this network can't be exported: {reason}")


def _trace(program: Program, example: tuple[torch.Tensor, ...], shapes: dict) -> Any:
    from torch.fx.experimental import _config

    # Otherwise torch.export treats a size of 1 as constant: the batch size, or the innermost map of a U-Net.
    settings: Any = _config
    oblivious = settings.patch(backed_size_oblivious=True)
    with torch.no_grad(), warnings.catch_warnings(), oblivious:
        warnings.simplefilter("ignore")
        return torch.export.export(program, example, dynamic_shapes=shapes)


def largest_difference(run: Callable, source: Callable, inputs: list[tuple[torch.Tensor, ...]]) -> float:
    """The largest absolute difference between `run(*inputs)` and `source(*inputs)` over several batches."""
    with torch.no_grad():
        return max(float((run(*each).float() - source(*each).float()).abs().max()) for each in inputs)
