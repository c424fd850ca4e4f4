"""The inputs, weights and statistics that tests/parity/README.md describes."""

import json
import math
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

PARITY = Path(__file__).parent / "parity"


def read(name):
    """A parity file, parsed; `name` is without .json."""
    return json.loads((PARITY / f"{name}.json").read_text())


def make_input(spec):
    """The tensor that {"seed", "shape"[, "times"]} describes."""
    return uniform(spec["seed"], spec["shape"]) * spec.get("times", 1)


def uniform(seed, shape, low=-1):
    """float32, uniform in [low, 1)."""
    return torch.from_numpy(np.random.RandomState(seed).uniform(low, 1, shape).astype(np.float32))


def fill(net, fill_name, unit=False):
    """Fill a network with the weights of the formula: each value is a function of `fill_name` and its key.

    With `unit` (the fill_rule of networks that scale their weights themselves) they are not divided by the fan-in.
    """
    state = net.state_dict()
    for key, value in state.items():
        filled = _value(fill_name, key, tuple(value.shape), unit)
        if filled is not None:
            value.copy_(torch.as_tensor(filled))
    return net


def _value(fill_name, key, shape, unit):
    last = key.rsplit(".", 1)[-1]
    if last in ("filt", "kernel"):
        return None
    if last in ("running_mean", "num_batches_tracked") or key.endswith("noise.weight"):
        return np.zeros(shape)
    if last == "running_var":
        return np.ones(shape)
    z = np.random.RandomState(zlib.crc32(f"{fill_name}/{key}".encode())).standard_normal(shape)
    if last == "bias":
        return 0.01 * z
    if len(shape) == 1:
        return 1 + 0.02 * z
    return z if unit else z / math.sqrt(math.prod(shape[1:]))


def check_block(tensor, block, values=1e-4, norms=5e-5):
    """Compare with a block of statistics: mean and single values in units of its std, std and l2 relatively."""
    x = tensor.detach().double().cpu()
    assert list(x.shape) == block["shape"]
    near = values * block["std"]
    assert float(x.mean()) == pytest.approx(block["mean"], abs=near)
    assert float(x.std(unbiased=False)) == pytest.approx(block["std"], rel=norms)
    assert float(x.norm()) == pytest.approx(block["l2"], rel=norms)
    assert x.flatten()[block["idx"]].tolist() == pytest.approx(block["val"], abs=near)
