"""The position of a run (epoch, batches, images), and the time of its steps."""

import contextlib
import math
import time

import torch

from util.numerics import compiling, seeding
from util.processes import distributed
from util.run.batch_slices import batch_size
from util.show.bar import Bar


class Progress:
    """Yields the epochs and batches of a run, counts images, and seeds every step by its position.

    epoch                      number of the current epoch, from 1 (or --epoch_count)
    batches_done, epoch_iter   batches and images of this epoch so far
    total_iters                images of this run so far, over all processes
    iterations                 batches of this run so far
    max_iterations             length of the run in iterations (--n_iters); 0: --n_epochs sets its length
    own_images                 images of the current step in this process
    """

    def __init__(self, opt, images_per_epoch, batches_per_epoch=None):
        self.opt = opt
        self.images_per_epoch = images_per_epoch
        self.batches_per_epoch = batches_per_epoch
        self.max_iterations = getattr(opt, "n_iters", 0) + getattr(opt, "n_iters_decay", 0)
        self.epoch = opt.epoch_count
        self.batches_done = self.epoch_iter = 0
        self.total_iters = self.iterations = 0
        self.own_images = 0
        self._epoch_ended = False  # whether all batches of the current epoch are done
        self._previous = 0  # total_iters before the current step
        self._loading = self._computing = 0.0  # seconds since the last call of timings() ...
        self._timed = 0  # ... and the number of images in them
        self.bar: Bar | None = None  # the progress bar of the run, while epochs() runs
        self._mark = 0.0  # time of the last change between loading and computing

    @property
    def last_epoch(self):
        if not self.max_iterations:
            return self.opt.n_epochs + self.opt.n_epochs_decay
        left = self.max_iterations - (self.iterations - self.batches_done)  # from the beginning of this epoch
        return self.epoch - 1 + math.ceil(left / self.batches_per_epoch)

    def rate_is_due(self):
        """Whether the learning rate must be updated after this step: with --n_iters, every --lr_update_step steps."""
        return self.max_iterations > 0 and self.iterations % self.opt.lr_update_step == 0

    def epochs(self):
        """Yields the number of each remaining epoch; prints the duration of each when it ends."""
        with Bar(self._expected(), "images", done=self.total_iters, silent=distributed.rank() > 0) as self.bar:
            for epoch in range(self.epoch, self.last_epoch + 1):
                if epoch != self.epoch:
                    self.epoch, self.batches_done, self.epoch_iter = epoch, 0, 0
                self.bar.describe(f"epoch {epoch}/{self.last_epoch}", self._expected())
                start = time.time()
                yield epoch
                print(f"End of epoch {epoch} / {self.last_epoch} \t Time Taken: {time.time() - start:.0f} sec")

    def is_over(self):
        """Whether no epoch, or with --n_iters no iteration, is left."""
        return self.iterations >= self.max_iterations if self.max_iterations else self.epoch > self.last_epoch

    def _expected(self):
        """The number of images that the whole run will have seen at its end, an estimate with --n_iters."""
        if self.max_iterations:
            left = (self.max_iterations - self.iterations) * self.images_per_epoch / (self.batches_per_epoch or 1)
            return self.total_iters + round(left)
        return self.total_iters - self.epoch_iter + (self.last_epoch - self.epoch + 1) * self.images_per_epoch

    def batches(self, dataset):
        """Yields the remaining batches of the epoch. A batch is counted and its step is seeded before the yield."""
        if self.batches_done:
            dataset.skip(self.batches_done)
        self._mark = time.perf_counter()
        for data in dataset:
            if self.max_iterations and self.iterations >= self.max_iterations:
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
        """(images of the current step in this process, in all processes)."""
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
        """Seconds since the last call."""
        before, self._mark = self._mark, time.perf_counter()
        return self._mark - before

    def __str__(self):
        return f"epoch {self.epoch}, {self.epoch_iter} images into it, {self.total_iters} in all"

    def state_dict(self):
        """The position of the next step; after the last batch of an epoch, this is the beginning of the next epoch."""
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
        """Take the position of the state, or the beginning of its epoch if the epoch now has other batches."""
        self.epoch, self.total_iters = state["epoch"], state["total_iters"]
        self.batches_done, self.epoch_iter = state["batches_done"], state["epoch_iter"]
        self.iterations = state["iterations"]
        if state["order"] != self._order() and self.batches_done:
            print(
                f"epoch {self.epoch} starts again, because its batches have changed: before, {state['order']}; now, "
                f"{self._order()}"
            )
            self.total_iters -= self.epoch_iter
            self.iterations -= self.batches_done
            self.batches_done = self.epoch_iter = 0

    def _order(self):
        """The values that determine which images are in the n-th batch of an epoch."""
        opt = self.opt
        return f"seed {opt.seed}, {self.images_per_epoch} images, batch_size {distributed.step_size(opt)}"

    def every(self, images):
        """Whether total_iters has reached or passed a multiple of `images` in this step."""
        return self.total_iters // images > self._previous // images

    def is_due(self, images):
        """every(); also in the last step of the run and of an epoch in which every() was never true."""
        if self.every(images):
            return True
        before_epoch = self.total_iters - self.epoch_iter
        missed = self.total_iters // images == before_epoch // images
        return self._ends_run() or (missed and self.batches_done == self.batches_per_epoch)

    def shows(self, images):
        """is_due(); also in the first step of the run."""
        return self.iterations == 1 or self.is_due(images)

    def _ends_run(self):
        if self.max_iterations:
            return self.iterations == self.max_iterations
        return self.epoch == self.last_epoch and self.batches_done == self.batches_per_epoch

    def fraction(self):
        """The part of the current epoch that is done, in (0, 1]."""
        return self.epoch_iter / self.images_per_epoch

    @contextlib.contextmanager
    def not_timed(self):
        """The time of the block counts neither as computing nor as loading."""
        self._computing += self._lap()
        try:
            yield
        finally:
            self._lap()

    def timings(self):
        """(computing, loading): seconds per image since the last call."""
        self._computing += self._lap()
        images = max(self._timed, 1)
        computing, loading = self._computing / images, self._loading / images
        self._loading = self._computing = 0.0
        self._timed = 0
        return computing, loading
