"""--deterministic: repeatable operations of torch, and the names of the operations that have no repeatable form.

The paddings of the networks are made repeatable by models/fit_out.py.
"""

import contextlib
import os
from collections.abc import Iterator

import torch

# Operations of the networks here whose backward pass on CUDA has no fixed order, with any setting of torch.
UNREPEATABLE = {"cuda": ("adaptive pooling (contrastive models' heads)", "interpolation and grid_sample in plug-ins")}


@contextlib.contextmanager
def repeatable(wanted: bool, device: torch.device) -> Iterator[None]:
    """While the block runs, torch uses repeatable operations; prints which operations of this device have none."""
    if not wanted:
        yield
        return
    # cuBLAS reads this variable when it starts; without it matrix products may differ from run to run.
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


def describe(device: torch.device) -> str:
    """The line printed for --deterministic on this device."""
    names = UNREPEATABLE.get(device.type)
    if device.type == "cpu":
        return "every operation on the CPU is repeatable with the same number of threads"
    if names is None:
        return f"torch promises nothing about {device.type}; it warns where it knows better"
    return (
        "reflection padding is done by mirrored slices. No repeatable backward pass on CUDA: "
        f"{'; '.join(names)}; torch warns where one is used"
    )
