"""Where a run stands: epoch, images seen, batches done; and what of a step's time went where."""

import contextlib
import math
import time

import torch

from util.numerics import compiling, seeding
from util.processes import distributed
from util.show.bar import Bar


class Progress:
    """Hands out epochs and batches, counts images, and begins every step, seeded by its position.

    epoch       number of the running epoch, from 1 (or --epoch_count)
    batches_done, epoch_iter   batches and images of this epoch so far
    total_iters images seen in this run, in all of its processes
    iterations  batches of this run; the run ends after so many if --n_iters says so, otherwise after its epochs
    """

    def __init__(self, opt, images_per_epoch, batches_per_epoch=None):
        self.opt = opt
        self.images_per_epoch = images_per_epoch
        self.batches_per_epoch = batches_per_epoch
        self.wanted = getattr(opt, "n_iters", 0) + getattr(opt, "n_iters_decay", 0)
        self.epoch = opt.epoch_count
        self.batches_done = self.epoch_iter = 0
        self.total_iters = self.iterations = 0
        self.own_images = 0  # of the running step, in this process
        self._epoch_ended = False  # all batches of the running epoch are done
        self._previous = 0  # total_iters before the running step
        self._loading = self._computing = 0.0  # seconds since the last timings() ...
        self._timed = 0  # ... and the images they went into
        self.bar: Bar | None = None  # of the whole run, while epochs() runs
        self._mark = 0.0  # when the running stretch of loading or computing began

    @property
    def last_epoch(self):
        if not self.wanted:
            return self.opt.n_epochs + self.opt.n_epochs_decay
        left = self.wanted - (self.iterations - self.batches_done)  # from the beginning of the running epoch
        return self.epoch - 1 + math.ceil(left / self.batches_per_epoch)

    def rate_is_due(self):
        """Whether a learning rate that follows iterations is to be updated after this step."""
        return self.wanted > 0 and self.iterations % self.opt.lr_update_step == 0

    def epochs(self):
        """Number of each epoch in turn; prints how long it took when the loop comes back for the next."""
        with Bar(self._expected(), "images", done=self.total_iters, silent=distributed.rank() > 0) as self.bar:
            for epoch in range(self.epoch, self.last_epoch + 1):
                if epoch != self.epoch:
                    self.epoch, self.batches_done, self.epoch_iter = epoch, 0, 0
                self.bar.describe(f"epoch {epoch}/{self.last_epoch}", self._expected())
                start = time.time()
                yield epoch
                print(f"End of epoch {epoch} / {self.last_epoch} \t Time Taken: {time.time() - start:.0f} sec")

    def is_over(self):
        """Whether the run has come to its end: no epoch, or no iteration, is left."""
        return self.iterations >= self.wanted if self.wanted else self.epoch > self.last_epoch

    def _expected(self):
        """Images of the whole run, as far as they are known now."""
        if self.wanted:
            left = (self.wanted - self.iterations) * self.images_per_epoch / (self.batches_per_epoch or 1)
            return self.total_iters + round(left)
        return self.total_iters - self.epoch_iter + (self.last_epoch - self.epoch + 1) * self.images_per_epoch

    def batches(self, dataset):
        """The epoch's batches that are left. A batch is counted, and its step is begun, before it is handed out."""
        if self.batches_done:
            dataset.skip(self.batches_done)
        self._mark = time.perf_counter()
        for data in dataset:
            if self.wanted and self.iterations >= self.wanted:
                break
            self._loading += self._lap()
            self._count(*self._images(dataset, data))
            distributed.compare_step_shapes(data)
            yield data
            self._computing += self._lap()
            if self.bar is not None:
                self.bar.update(self.total_iters - self._previous)
        self._epoch_ended = True

    def _images(self, dataset, data):
        """(own, everywhere): images of the running step in this process and in all."""
        if distributed.world_size() == 1:
            return batch_size(data), batch_size(data)
        return dataset.images_of(self.batches_done)

    def _count(self, own, images):
        self.own_images = own
        distributed.set_step_images(own, images)
        compiling.begin_step(getattr(self.opt, "compile", "none"), getattr(self.opt, "device", torch.device("cpu")))
        seeding.seed_step(self.opt.seed, self.total_iters, distributed.rank())
        self._epoch_ended = False
        self._previous = self.total_iters
        self.batches_done += 1
        self.iterations += 1
        self.total_iters += images
        self.epoch_iter += images
        self._timed += images

    def _lap(self):
        before, self._mark = self._mark, time.perf_counter()
        return self._mark - before

    def __str__(self):
        return f"epoch {self.epoch}, {self.epoch_iter} images into it, {self.total_iters} in all"

    def state_dict(self):
        """The position of the next step; after an epoch's last batch that is the beginning of the next epoch."""
        within = (self.epoch + 1, 0, 0) if self._epoch_ended else (self.epoch, self.batches_done, self.epoch_iter)
        epoch, batches_done, epoch_iter = within
        return {
            "epoch": epoch,
            "batches_done": batches_done,
            "epoch_iter": epoch_iter,
            "total_iters": self.total_iters,
            "iterations": self.iterations,
            "order": self._order(),
        }

    def load_state_dict(self, state):
        """Stand where the state was taken; at the beginning of its epoch if the batches are others now."""
        self.epoch, self.total_iters = state["epoch"], state["total_iters"]
        self.batches_done, self.epoch_iter = state["batches_done"], state["epoch_iter"]
        self.iterations = state["iterations"]
        if state["order"] != self._order() and self.batches_done:
            print(
                f"epoch {self.epoch} starts again: its batches are others ({state['order']} then, {self._order()} now)"
            )
            self.total_iters -= self.epoch_iter
            self.iterations -= self.batches_done
            self.batches_done = self.epoch_iter = 0

    def _order(self):
        """What decides which images the n-th batch of an epoch holds."""
        opt = self.opt
        return f"seed {opt.seed}, {self.images_per_epoch} images, batch_size {distributed.step_size(opt)}"

    def every(self, images):
        """True in the first step that reaches a multiple of `images`: at least every so many, never missed."""
        return self.total_iters // images > self._previous // images

    def is_due(self, images):
        """every(), and in the last step of an epoch that had no such step, and in the last step of the run."""
        if self.every(images):
            return True
        before_epoch = self.total_iters - self.epoch_iter
        missed = self.total_iters // images == before_epoch // images
        return self._ends_run() or (missed and self.batches_done == self.batches_per_epoch)

    def shows(self, images):
        """is_due(), and in the first step of the run."""
        return self.iterations == 1 or self.is_due(images)

    def _ends_run(self):
        if self.wanted:
            return self.iterations == self.wanted
        return self.epoch == self.last_epoch and self.batches_done == self.batches_per_epoch

    def fraction(self):
        """How much of the running epoch is done, in (0, 1]."""
        return self.epoch_iter / self.images_per_epoch

    @contextlib.contextmanager
    def not_timed(self):
        """What happens in the block counts neither as computing nor as loading."""
        self._computing += self._lap()
        try:
            yield
        finally:
            self._lap()

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


def is_paired(data):
    """Whether each sample of a batch has the true translation of its image: the data set says so (an entry "paired"),
    or both sides come from one file."""
    if "paired" in data:
        return bool(torch.as_tensor(data["paired"]).all())
    return "A_paths" in data and "B" in data and data["A_paths"] == data.get("B_paths")


def split_batch(batch, size, most=None):
    """Slices of at most `size` samples, of the first `most` of a batch; a slice that is the whole batch is the batch.

    Tensors and lists as long as the batch are sliced; every slice has the other values as they are.
    """
    images = batch_size(batch)
    stop = images if most is None else min(images, most)
    if min(size, stop) == images:
        return [batch]

    def sliced(value, start):
        per_sample = isinstance(value, (torch.Tensor, list, tuple)) and len(value) == images
        return value[start : min(start + size, stop)] if per_sample else value

    return [{key: sliced(value, start) for key, value in batch.items()} for start in range(0, stop, size)]


def samples(dataset, most, one_by_one=False):
    """The first `most` samples of a data set, in its batches or one by one."""
    done = 0
    for batch in dataset:
        yield from split_batch(batch, 1 if one_by_one else batch_size(batch), most - done)
        done += min(batch_size(batch), most - done)
        if done >= most:
            return


def own_samples(dataset, most):
    """This rank's share of the first `most` samples of a data set, one by one."""
    done = 0
    for step, batch in enumerate(dataset):
        everywhere = dataset.images_of(step)[1]
        first, own = distributed.own_share(everywhere)
        for number, part in enumerate(split_batch(batch, 1)[:own], start=done + first):
            if number < most:
                yield part
        done += everywhere
        if done >= most:
            return
