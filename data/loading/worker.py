"""What runs inside a data worker: seeding, one item, one batch, and errors that keep to one line.

All of it can be pickled, for systems that start workers by spawning.
"""

import argparse
import contextlib
import copy
import re
import signal
import traceback

import torch
from torch.utils.data import Dataset, default_collate

from util.errors import InputError
from util.numerics import seeding

MOST_IN_A_ROW = 100  # unreadable images, before it's the folder that is wrong and not an image


class Refusal:
    """An InputError on its way out of a worker; raised there, it would arrive with a traceback in its text."""

    def __init__(self, error):
        self.text = str(error)


class Replaced:
    """An item or batch that stands in for images which can't be read, with the reasons; None stands for no item."""

    def __init__(self, content, texts):
        self.content = content
        self.texts = texts


class Positioned(Dataset):
    """A data set that is asked for (epoch, index) and makes the same item for it in any process at any time.

    With `skip_bad` the next item that can be made stands in for one that can't, the same one every time; with
    `leave_out` nothing stands in for it, and its batch has an item less.
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
        return Refusal(f"--skip_bad_images: {len(texts)} images in a row can't be read, the last one: {item.text}")

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
        """For spawned workers: without the dashboard that train.py hangs on opt, which has threads and sockets."""
        dataset = copy.copy(self.dataset)
        if hasattr(getattr(dataset, "opt", None), "visualizer"):
            fields = {name: value for name, value in vars(dataset.opt).items() if name != "visualizer"}
            dataset.opt = argparse.Namespace(**fields)
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


@contextlib.contextmanager
def naming_dead_workers():
    """A worker that died becomes an InputError with the likely cause, wherever the main process hears of it."""
    try:
        yield
    except RuntimeError as error:
        # Waiting for a batch, PyTorch puts its general words around those that say which signal it was.
        message = obituary(f"{error.__cause__ or ''} {error}")
        if isinstance(error, InputError) or message is None:
            raise
        raise InputError(message) from None
    except (ConnectionError, EOFError) as error:
        # It died while it handed over a batch. What a data set raises in a worker says "Caught ..." instead.
        if "_ForkingPickler" not in _last_words(error):
            raise
        raise InputError(obituary("DataLoader worker exited unexpectedly")) from None


def _last_words(error):
    """The lines of code that an error came through."""
    return " ".join(frame.line or "" for frame in traceback.extract_tb(error.__traceback__))


def obituary(text):
    """What PyTorch's words about a data worker mean for a person; None where they are about something else."""
    if ("shared memory" in text and ("worker" in text or "torch_" in text)) or "Bus error" in text:
        return (
            "a data worker ran out of shared memory: /dev/shm is full (see df -h /dev/shm); give a container more "
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
