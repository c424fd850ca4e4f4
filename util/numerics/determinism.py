"""--deterministic: operations that give the same bits every time, and the names of those that have none."""

import contextlib
import os
import types

import torch
from torch import nn

# What the networks here use and what runs backward in no fixed order on CUDA, whatever is asked of torch.
UNREPEATABLE = {"cuda": ("adaptive pooling (contrastive models' heads)", "interpolation and grid_sample in plug-ins")}


@contextlib.contextmanager
def repeatable(wanted, device):
    """Ask torch for repeatable operations while the block runs, and say which there are none for on this device."""
    if not wanted:
        yield
        return
    # cuBLAS reads it when it starts; without it matrix products may differ from run to run.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    cudnn = torch.backends.cudnn
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    cudnn_before = cudnn.benchmark, cudnn.deterministic
    torch.use_deterministic_algorithms(True, warn_only=True)
    cudnn.benchmark, cudnn.deterministic = False, True
    print(f"--deterministic: {describe(device)}")
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        cudnn.benchmark, cudnn.deterministic = cudnn_before


def describe(device):
    names = UNREPEATABLE.get(device.type)
    if device.type == "cpu":
        return "every operation on the CPU is repeatable with the same number of threads"
    if names is None:
        return f"torch promises nothing about {device.type}; it warns where it knows better"
    return (
        "reflection padding is done by mirrored slices. No repeatable backward pass on CUDA: "
        f"{'; '.join(names)}; torch warns where one is used"
    )


def pad_exactly(net):
    """Let every reflection padding of a network add up its gradients in a fixed order; its values stay the same."""
    for module in net.modules():
        if isinstance(module, nn.ReflectionPad2d):
            module.forward = types.MethodType(pad_by_slices, module)


def pad_by_slices(module, x):
    """Reflection padding of (..., H, W) made of mirrored slices, whose gradients are plain additions."""
    left, right, top, bottom = module.padding
    return _mirrored(_mirrored(x, -1, left, right), -2, top, bottom)


def _mirrored(x, dim, before, after):
    size = x.shape[dim]
    parts = [x.narrow(dim, 1, before).flip(dim), x, x.narrow(dim, size - 1 - after, after).flip(dim)]
    return torch.cat(parts, dim)
