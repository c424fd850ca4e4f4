"""Randomness is a function of position: (seed, images seen) for a step, (seed, epoch, index) for a data item.

No generator state is stored. Draws at the same position give the same numbers, which makes a run repeatable, a resumed
run exact, and the images independent of the number of data workers. With --deterministic the operations are repeatable
as well, if torch has repeatable forms of them; models/fit_out.py replaces the paddings.
"""

import contextlib
import functools
import os
import random
from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import torch

STEP, ITEM, ORDER, BUILD, SHARED, DATASET = range(6)  # kinds of positions: their seeds differ

# Operations of our networks whose backward pass on CUDA adds in no fixed order, with any setting of torch.
UNREPEATABLE = {"cuda": ("adaptive pooling (contrastive models' heads)", "interpolation and grid_sample in plug-ins")}


def derive(seed: int, *position: int) -> int:
    """A 64-bit seed for a position in the run; equal arguments give equal seeds on every machine."""
    # SeedSequence hashes all of its words together, so the seeds of neighbouring positions are unrelated.
    words = np.random.SeedSequence(seed, spawn_key=position).generate_state(1, np.uint64)
    return int(words[0])


def _seed_all(derived, accelerators=True):
    random.seed(derived)
    np.random.seed(derived % 2**32)
    # Only the default CPU generator: torch.manual_seed also seeds every accelerator, which is 100 times slower.
    torch.default_generator.manual_seed(derived)
    if accelerators and torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(derived)


@contextlib.contextmanager
def restored() -> Iterator[None]:
    """After the block, the generators of random, numpy, torch and shared() have the state they had before it."""
    python, numpy_state = random.getstate(), np.random.get_state()
    before = set(_seeded), {device: _generator(device).get_state() for device in _seeded}
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else []
    try:
        with torch.random.fork_rng(devices):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy_state)
        _seeded.clear()
        _seeded.update(before[0])
        for device, state in before[1].items():
            _generator(device).set_state(state)


def seed_build(seed: int) -> None:
    """Call this before networks are built: the same seed gives the same initial weights."""
    _seed_all(derive(seed, BUILD))


def seed_dataset(seed: int) -> None:
    """Call this before a data set is created: its __init__ draws the same numbers in every process and resumed run."""
    _seed_all(derive(seed, DATASET))


_step = 0, 0, 0  # (seed, images seen, rank) of the current step
_seeded: set[torch.device] = set()  # devices whose shared generator has been seeded for the current part of the batch


def seed_step(seed: int, images_seen: int, rank: int = 0) -> None:
    """Call this before a training step, after its batch is loaded: seeds dropout, image pools and flips of the step."""
    global _step
    _step = seed, images_seen, rank
    seed_part(0)


def seed_part(part: int, accelerators: bool = True) -> None:
    """Call this before a part of a batch (--accumulate): the parts draw different numbers, except from shared().

    Without `accelerators`, the default generators of GPUs continue, as a CUDA graph requires (--capture).
    """
    seed, images_seen, rank = _step
    _seeded.clear()
    _seed_all(derive(seed, STEP, images_seen, rank, *([part] if part else [])), accelerators)


def shared(device: torch.device | str) -> torch.Generator:
    """A generator for draws of a whole step: all ranks and all parts of the batch draw the same numbers."""
    device = torch.device(device)
    generator = _generator(device)
    if device not in _seeded:
        _seeded.add(device)
        seed, images_seen, _ = _step
        generator.manual_seed(derive(seed, SHARED, images_seen))
    return generator


@functools.cache
def _generator(device: torch.device) -> torch.Generator:
    return torch.Generator(device)


def seed_item(seed: int, epoch: int, index: int) -> None:
    """Call this before a data item is made, in any process: seeds its crop, its flip and its partner."""
    _seed_all(derive(seed, ITEM, epoch, index))


def order(seed: int, epoch: int, length: int) -> list[int]:
    """The order in which an epoch visits `length` items: a list of indices, a permutation of range(length)."""
    generator = torch.Generator().manual_seed(derive(seed, ORDER, epoch) % 2**63)
    return torch.randperm(length, generator=generator).tolist()


@contextlib.contextmanager
def repeatable(wanted: bool, device: torch.device) -> Iterator[None]:
    """While the block runs, torch uses repeatable operations; prints the operations without a repeatable form."""
    if not wanted:
        yield
        return
    # cuBLAS reads this variable when it starts; without it, matrix products may differ from run to run.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    cudnn, memory = torch.backends.cudnn, cast(Any, torch.utils.deterministic)
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    cudnn_before, filled = (cudnn.benchmark, cudnn.deterministic), memory.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True, warn_only=True)
    cudnn.benchmark, cudnn.deterministic = False, True
    # Filling the memory of torch.empty() would add a third to the device operations of a step, and would only help a
    # program that reads memory before it writes it.
    memory.fill_uninitialized_memory = False
    print(f"--deterministic: {describe(device)}")
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        cudnn.benchmark, cudnn.deterministic = cudnn_before
        memory.fill_uninitialized_memory = filled


def describe(device: torch.device) -> str:
    """The line printed for --deterministic on this device."""
    names = UNREPEATABLE.get(device.type)
    if device.type == "cpu":
        return "every operation on the CPU is repeatable with the same number of threads"
    if names is None:
        return f"torch guarantees nothing on {device.type}; it warns about operations that are not repeatable"
    return (
        "reflection padding is computed from mirrored slices. Without a repeatable backward pass on CUDA: "
        f"{'; '.join(names)}; torch warns when one of them is used"
    )
