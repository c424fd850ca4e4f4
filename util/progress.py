"""Where a run stands: epoch, images seen, batches done; and what of a step's time went where."""

import sys
import time

import torch
from tqdm import tqdm

from util import seeding


class Progress:
    """Hands out epochs and batches, counts images, and seeds every step by its position.

    epoch       number of the running epoch, from 1 (or --epoch_count)
    epoch_iter  images seen in this epoch
    total_iters images seen in this run
    """

    def __init__(self, opt, images_per_epoch):
        self.opt = opt
        self.images_per_epoch = images_per_epoch
        self.last_epoch = opt.n_epochs + opt.n_epochs_decay
        self.epoch = opt.epoch_count
        self.epoch_iter = 0
        self.total_iters = 0
        self._previous = 0  # total_iters before the running step
        self._loading = self._computing = 0.0  # seconds since the last timings() ...
        self._timed = 0  # ... and the images they went into
        self._mark = 0.0  # when the running stretch of loading or computing began

    def epochs(self):
        """Number of each epoch in turn; prints how long it took when the loop comes back for the next."""
        for epoch in range(self.opt.epoch_count, self.last_epoch + 1):
            self.epoch, self.epoch_iter = epoch, 0
            start = time.time()
            yield epoch
            print(f"End of epoch {epoch} / {self.last_epoch} \t Time Taken: {time.time() - start:.0f} sec")

    def batches(self, dataset):
        """The batches of the running epoch. When one is handed out it is counted already, and the step is seeded."""
        self._mark = time.perf_counter()
        with tqdm(total=self.images_per_epoch, unit="img", leave=False, disable=not sys.stderr.isatty()) as bar:
            bar.set_description(f"epoch {self.epoch}/{self.last_epoch}")
            for data in dataset:
                self._loading += self._lap()
                self._count(batch_size(data))
                yield data
                self._computing += self._lap()
                bar.update(self.total_iters - self._previous)

    def _count(self, images):
        seeding.seed_step(self.opt.seed, self.total_iters)
        self._previous = self.total_iters
        self.total_iters += images
        self.epoch_iter += images
        self._timed += images

    def _lap(self):
        before, self._mark = self._mark, time.perf_counter()
        return self._mark - before

    def every(self, images):
        """True in the first step that reaches a multiple of `images`: at least every so many, never missed."""
        return self.total_iters // images > self._previous // images

    def fraction(self):
        """How much of the running epoch is done, in (0, 1]."""
        return self.epoch_iter / self.images_per_epoch

    def timings(self):
        """(computing, loading) seconds per image since the last call, up to this moment."""
        self._computing += self._lap()
        images = max(self._timed, 1)
        computing, loading = self._computing / images, self._loading / images
        self._loading = self._computing = 0.0
        self._timed = 0
        return computing, loading


def batch_size(data):
    """Images in a batch: the length of its first tensor, whatever its key."""
    for value in data.values():
        if isinstance(value, torch.Tensor) and value.dim():
            return value.shape[0]
    return len(next(iter(data.values())))


def split_batch(data, limit=None, one_by_one=False):
    """The batch in parts: at most `limit` samples of it, together or one by one."""
    images = batch_size(data)
    wanted = images if limit is None else min(images, limit)
    if wanted == images and not (one_by_one and images > 1):
        return [data]
    size = 1 if one_by_one else wanted
    return [_part(data, images, start, min(start + size, wanted)) for start in range(0, wanted, size)]


def _part(data, images, start, stop):
    def sliceable(value):
        return isinstance(value, (torch.Tensor, list, tuple)) and len(value) == images

    return {key: value[start:stop] if sliceable(value) else value for key, value in data.items()}
