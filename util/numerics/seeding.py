"""Randomness is a function of position: (seed, images seen) for a step, (seed, epoch, index) for a data item.

Nothing stores the state of a generator. Whoever stands at the same position draws the same numbers, which makes a
run repeatable, a resumed run exact, and the pictures independent of the number of data workers.
"""

import functools
import random

import numpy as np
import torch

# What a position is a position in, so that equal numbers don't collide.
STEP, ITEM, ORDER, BUILD, SHARED, DATASET = range(6)


def derive(seed, *position):
    """A 64-bit seed for a place in the run; equal arguments give equal seeds on every machine."""
    # SeedSequence mixes every word into the whole pool, so neighbouring positions are unrelated.
    words = np.random.SeedSequence(seed, spawn_key=position).generate_state(1, np.uint64)
    return int(words[0])


def _seed_all(derived):
    random.seed(derived)
    np.random.seed(derived % 2**32)
    # The default CPU generator by hand: torch.manual_seed also visits every accelerator, 100 times slower per call.
    torch.default_generator.manual_seed(derived)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(derived)


def seed_build(seed):
    """Before networks are made, so that the same seed initialises them alike."""
    _seed_all(derive(seed, BUILD))


def seed_dataset(seed):
    """Before a data set is made, so that its __init__ draws the same numbers in every process and resumed run."""
    _seed_all(derive(seed, DATASET))


_step = 0, 0, 0  # (seed, images seen, rank) of the running step
_fresh = set()  # devices whose shared generator has not been seeded for this step yet


def seed_step(seed, images_seen, rank=0):
    """Before a training step, after its batch has been fetched: dropout, pools and coins of that step."""
    global _step
    _step = seed, images_seen, rank
    seed_part(0)


def seed_part(part):
    """Before a part of a step's batch (--accumulate): draws of its own for each image, the shared ones once more."""
    seed, images_seen, rank = _step
    _fresh.clear()
    _seed_all(derive(seed, STEP, images_seen, rank, *([part] if part else [])))


def shared(device):
    """A generator for what is drawn once for a whole step: it gives all processes and all parts the same numbers."""
    device = torch.device(device)
    generator = _generator(device)
    if device not in _fresh:
        _fresh.add(device)
        seed, images_seen, _ = _step
        generator.manual_seed(derive(seed, SHARED, images_seen))
    return generator


@functools.cache
def _generator(device):
    return torch.Generator(device)


def seed_item(seed, epoch, index):
    """Before one data item is made, in whichever process makes it: its crop, its flip, its partner."""
    _seed_all(derive(seed, ITEM, epoch, index))


def order(seed, epoch, length):
    """The order in which an epoch visits `length` items: a list of indices, a permutation of range(length)."""
    generator = torch.Generator().manual_seed(derive(seed, ORDER, epoch) % 2**63)
    return torch.randperm(length, generator=generator).tolist()
