"""What runs inside a data worker: seeding, one item, one batch, and errors that keep to one line.

All of it can be pickled, for systems that start workers by spawning.
"""

import argparse
import copy
import signal

import torch
from torch.utils.data import Dataset, default_collate

from util import seeding
from util.errors import InputError


class Refusal:
    """An InputError on its way out of a worker; raised there, it would arrive with a traceback in its text."""

    def __init__(self, error):
        self.text = str(error)


class Positioned(Dataset):
    """A data set that is asked for (epoch, index) and makes the same item for it in any process at any time."""

    def __init__(self, dataset, seed):
        self.dataset = dataset
        self.seed = seed

    def __getitem__(self, position):
        epoch, index = position
        self.dataset.current_epoch = epoch
        seeding.seed_item(self.seed, epoch, index)
        try:
            return self.dataset[index]
        except InputError as error:
            return Refusal(error)

    def __len__(self):
        return len(self.dataset)

    def __getstate__(self):
        """For spawned workers: without the dashboard that train.py hangs on opt, which has threads and sockets."""
        dataset = copy.copy(self.dataset)
        if hasattr(getattr(dataset, "opt", None), "visualizer"):
            fields = {name: value for name, value in vars(dataset.opt).items() if name != "visualizer"}
            dataset.opt = argparse.Namespace(**fields)
        return {"dataset": dataset, "seed": self.seed}


def collate(items):
    """Stack items into a batch; the batch is a Refusal if one of them is, or if they can't be stacked."""
    for item in items:
        if isinstance(item, Refusal):
            return item
    try:
        return default_collate(items)
    except RuntimeError:
        error = differing_sizes(items)
        if error is None:
            raise
        return Refusal(error)


def differing_sizes(items):
    """The InputError for tensors of different size in one batch, or None if that isn't the matter."""
    if not all(isinstance(item, dict) for item in items):
        return None
    first = items[0]
    for name, value in first.items():
        for other in items[1:]:
            if not torch.is_tensor(value) or value.shape == other[name].shape:
                continue
            one, two = (
                f"{'x'.join(map(str, item[name].shape))} ({item.get(name + '_paths', 'no path given')})"
                for item in (first, other)
            )
            return InputError(
                f"--batch_size {len(items)}: images of one batch differ in size, {name} is {one} and {two}; "
                "use --batch_size 1, or a --preprocess that makes sizes equal, such as resize_and_crop"
            )
    return None


def start_worker(worker_id):
    """Leave signals to the main process: it wants to save before it goes, and needs batches until then."""
    for name in ("SIGINT", "SIGTERM", "SIGUSR1"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
