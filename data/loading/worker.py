"""The code that runs in a data worker: seeding, making items and batches, and passing errors to the main process.

All objects here can be pickled, for systems that start workers by spawning.
"""

import contextlib
import copy
import re
import signal
import traceback

import torch
from torch.utils.data import Dataset, default_collate

from util.errors import InputError
from util.numerics import seeding

MOST_IN_A_ROW = 100  # unreadable images in a row, after which the whole folder counts as unreadable


class Refusal:
    """The message of an InputError of a worker. Raised in the worker, the error would get a traceback in its text."""

    def __init__(self, error):
        self.text = str(error)


class Replaced:
    """An item or batch (`content`) in place of images that can't be read, and the reasons; None: left out."""

    def __init__(self, content, texts):
        self.content = content
        self.texts = texts


class Positioned(Dataset):
    """A data set with (epoch, index) as its index; the item is the same in any process at any time.

    With `skip_bad` an item that can't be read is replaced by the next that can; with `leave_out` it is left out, and
    its batch has fewer items.
    """

    def __init__(self, dataset, seed, skip_bad=False, leave_out=False):
        self.dataset = dataset
        self.seed = seed
        self.skip_bad = skip_bad and not leave_out
        self.leave_out = leave_out

    def __getitem__(self, position):
        epoch, wanted = position
        texts = []
        for index in self._candidates(wanted):
            item = self._make(epoch, index)
            if not isinstance(item, Refusal):
                return Replaced(item, texts) if texts else item
            texts.append(item.text)
        if self.leave_out:
            return Replaced(None, texts)
        if not self.skip_bad:
            return item
        return Refusal(f"--skip_bad_images: {len(texts)} images in a row can't be read; the last: {item.text}")

    def _candidates(self, index):
        length = len(self.dataset)
        return [(index + i) % length for i in range(min(length, MOST_IN_A_ROW))] if self.skip_bad else [index]

    def _make(self, epoch, index):
        self.dataset.current_epoch = epoch
        seeding.seed_item(self.seed, epoch, index)
        try:
            return self.dataset[index]
        except InputError as error:
            return Refusal(error)

    def __len__(self):
        return len(self.dataset)

    def __getstate__(self):
        """For spawned workers: without opt.visualizer, whose threads and sockets can't be pickled."""
        dataset = copy.copy(self.dataset)
        if hasattr(getattr(dataset, "opt", None), "visualizer"):
            dataset.opt = copy.copy(dataset.opt)
            del dataset.opt.visualizer
        return {**vars(self), "dataset": dataset}


def collate(items):
    """Stack items into a batch; the batch is a Refusal if one of them is, or if they can't be stacked."""
    for item in items:
        if isinstance(item, Refusal):
            return item
    texts = [text for item in items if isinstance(item, Replaced) for text in item.texts]
    if texts:
        made = [item.content if isinstance(item, Replaced) else item for item in items]
        made = [item for item in made if item is not None]
        batch = collate(made) if made else None
        return batch if isinstance(batch, Refusal) else Replaced(batch, texts)
    try:
        return default_collate(items)
    except RuntimeError:
        error = differing_sizes(items)
        if error is None:
            raise
        return Refusal(error)


def differing_sizes(items):
    """The InputError for tensors of different size in one batch; None if their sizes are equal."""
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
    """Ignore signals: the main process handles them, and needs batches until it has saved."""
    for name in ("SIGINT", "SIGTERM", "SIGUSR1"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)


@contextlib.contextmanager
def naming_dead_workers():
    """Turn the error about a worker that died into an InputError with the likely cause."""
    try:
        yield
    except RuntimeError as error:
        # PyTorch may raise a general error, whose cause names the signal.
        message = explain_death(f"{error.__cause__ or ''} {error}")
        if isinstance(error, InputError) or message is None:
            raise
        raise InputError(message) from None
    except (ConnectionError, EOFError) as error:
        # The worker died while it passed a batch. An error of a data set would have been raised in the worker.
        if "_ForkingPickler" not in _lines_of_traceback(error):
            raise
        raise InputError(explain_death("DataLoader worker exited unexpectedly")) from None


def _lines_of_traceback(error):
    return " ".join(frame.line or "" for frame in traceback.extract_tb(error.__traceback__))


def explain_death(text):
    """The message for the user, from PyTorch's message about a data worker; None for messages about anything else."""
    if ("shared memory" in text and ("worker" in text or "torch_" in text)) or "Bus error" in text:
        return (
            "a data worker ran out of shared memory: /dev/shm is full (see df -h /dev/shm); give the container more "
            "(--shm-size 8g), or use fewer --num_threads"
        )
    if not re.search(r"DataLoader worker .*(killed by signal|exited unexpectedly)", text):
        return None
    how = re.search(r"killed by signal: ([\w ]+)", text)
    return (
        f"a data worker died ({how[1].strip() if how else 'it exited unexpectedly'}): most likely the machine ran out "
        "of memory; use fewer --num_threads, a smaller --load_size or smaller images (--num_threads 0 shows errors "
        "that end a worker)"
    )
