"""From a data set to batches, as a function of (seed, epoch): which items, in which order, made how."""

import atexit
import contextlib
import math
import os
import sys
import warnings
import weakref

import torch
from torch.utils.data import DataLoader, Sampler

from data import find_dataset_using_name
from data.loading.headers import roots_of
from data.loading.worker import Positioned, Refusal, Replaced, collate, naming_dead_workers, start_worker
from util.errors import InputError
from util.factory import make
from util.numerics import seeding
from util.processes import distributed


class PositionSampler(Sampler):
    """Batches of (epoch, index): the epoch travels with every index, since workers live on from epoch to epoch.

    A step's images are neighbours in the epoch's order, shared out to the processes of the run; an epoch's last step
    may have fewer. A process that gets none of them then takes one all the same, to keep in step; it counts nothing.
    """

    def __init__(self, dataset, visits, step_size, seed, serial, drop_last=False):
        self.dataset = dataset  # one whose items must not be mixed at will has a visiting_order() of its own
        self.visits = visits  # how many of its items an epoch takes
        self.step_size = step_size  # images of a step, over all processes
        self.seed = seed
        self.serial = serial
        self.steps = visits // step_size if drop_last else math.ceil(visits / step_size)
        self.epoch = 0
        self.start = 0  # how many steps of the epoch to leave out

    def set_epoch(self, epoch):
        self.epoch = epoch

    def images_of(self, step):
        """(own, everywhere): images of the epoch's step of that number, from 0."""
        everywhere = min(self.step_size, self.visits - step * self.step_size)
        return distributed.own_share(everywhere)[1], everywhere

    def __iter__(self):
        order_of = getattr(self.dataset, "visiting_order", self._usual_order)
        order = order_of(self.seed, self.epoch, shuffled=not self.serial)
        for step in range(self.start, self.steps):
            begin = step * self.step_size
            first, own = distributed.own_share(self.images_of(step)[1])
            begin += first if own else 0
            yield [(self.epoch, index) for index in order[begin : begin + max(own, 1)]]

    def _usual_order(self, seed, epoch, shuffled):
        return seeding.order(seed, epoch, len(self.dataset)) if shuffled else range(len(self.dataset))

    def __len__(self):
        return self.steps


class CustomDatasetDataLoader:
    """The data set that ``opt.dataset_mode`` names, in batches: dicts whose tensors are (N, C, H, W).

    The same opt.seed gives the same batches, whatever opt.num_threads. Workers start with the first
    epoch and stay; they ignore SIGINT, SIGTERM and SIGUSR1, and end with this object or the program.
    """

    def __init__(self, opt):
        self.opt = opt
        self.dataset = make(find_dataset_using_name(opt.dataset_mode), opt)
        print(f"dataset [{type(self.dataset).__name__}] was created")
        length = len(self.dataset)
        if length == 0:
            raise InputError(f"--dataroot {opt.dataroot}: {type(self.dataset).__name__} finds nothing in it")
        # The cap is checked between steps, so the last one may exceed it.
        size = distributed.step_size(opt)
        visits = min(length, math.ceil(len(self) / size) * size)
        if opt.drop_last and visits < size:
            raise InputError(
                f"--drop_last: {visits} images don't fill {describe(opt)}; make --batch_size {opt.batch_size} smaller"
            )
        self._leaves_out = not opt.isTrain and getattr(opt, "skip_bad_images", False)
        self.sampler = PositionSampler(self.dataset, visits, size, opt.seed, opt.serial_batches, opt.drop_last)
        with any_number_of_workers():
            self.dataloader = DataLoader(
                Positioned(self.dataset, opt.seed, getattr(opt, "skip_bad_images", False), leave_out=self._leaves_out),
                batch_sampler=self.sampler,
                num_workers=opt.num_threads,
                persistent_workers=opt.num_threads > 0,
                pin_memory=torch.device(opt.device).type == "cuda",
                collate_fn=collate,
                worker_init_fn=start_worker,
                generator=torch.Generator(),  # its own, so that loading data doesn't move the training's random numbers
            )
        self._skip = 0
        self.left_out = []  # why images could not be read, in a test
        self._running = []
        # By hand, and before multiprocessing's own exit, which waits for ever for processes that ignore SIGTERM.
        atexit.register(weakref.finalize(self, stop_workers, self._running, os.getpid()))

    def load_data(self):
        return self

    def guard(self):
        """For the whole training: a data worker that dies, at any moment, is an error that says so."""
        return naming_dead_workers()

    def set_epoch(self, epoch):
        """Before an epoch is iterated: its order, its crops and flips, and the data set's current_epoch."""
        self.sampler.set_epoch(epoch)
        self.dataset.current_epoch = epoch

    def skip(self, batches):
        """Let the next iteration, and only that, begin after so many batches; they are not loaded."""
        self._skip = batches

    def roots(self):
        """The folders below which the image files lie."""
        return roots_of(self.dataset, self.opt.dataroot)

    def __len__(self):
        """Images in an epoch, the limit --max_dataset_size included."""
        return int(min(len(self.dataset), self.opt.max_dataset_size))

    def batches_per_epoch(self):
        """Steps of an epoch; in each of them every process has a batch."""
        return len(self.dataloader)

    def images_of(self, step):
        """(own, everywhere): images of the epoch's step of that number, in this process and in all."""
        return self.sampler.images_of(step)

    def __iter__(self):
        return fetched_ahead(self._batches(), torch.device(self.opt.device))

    def _batches(self):
        self.sampler.start, self._skip = self._skip, 0
        with any_number_of_workers():
            batches = iter(self.dataloader)
        self._running[:] = [batches] if self.opt.num_threads > 0 else []
        replaced, any_image = [], False
        while (batch := self._next(batches)) is not None:
            if isinstance(batch, Replaced):
                replaced += batch.texts
                batch = batch.content
            if batch is not None:
                any_image = True
                yield batch
        if not any_image and replaced:
            raise InputError(f"no image could be read; the first of {len(replaced)}: {replaced[0]}")
        if self._leaves_out:
            self.left_out = replaced
        elif replaced:
            say_replaced(replaced)

    def list_left_out(self):
        """Print the images that a test has left out; returns the exit code of the test: 1 if there are any."""
        for text in self.left_out:
            print(f"not translated: {text}", file=sys.stderr)
        return 1 if self.left_out else 0

    def _next(self, batches):
        """The next batch, or None at the end of the epoch."""
        with naming_dead_workers():
            batch = next(batches, None)
        if isinstance(batch, Refusal):
            raise InputError(batch.text)
        return batch


@contextlib.contextmanager
def any_number_of_workers():
    """Without PyTorch's warning: more workers than cores cost little, and --num_threads says how many are wanted."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="This DataLoader will create")
        yield


def describe(opt):
    """What a step takes, in the words of the flags."""
    size = distributed.step_size(opt)
    return "a batch" if size == opt.batch_size else f"a step of {size}"


def say_replaced(texts, most=5):
    different = list(dict.fromkeys(texts))
    more = f"; and {len(different) - most} more" if len(different) > most else ""
    print(f"--skip_bad_images: {len(different)} could not be read in this epoch: {'; '.join(different[:most])}{more}")


def stop_workers(running, owner):
    """End the workers of an iteration. They ignore SIGTERM, so neither torch's nor Python's own way always does."""
    if os.getpid() != owner:  # a copy of the loader in a forked worker
        return
    for batches in running:
        batches._shutdown_workers()
        for worker in batches._workers:
            if worker.is_alive():
                worker.kill()


def fetched_ahead(batches, device):
    """The same batches, one fetched ahead; on CUDA their pictures (tensors of 3 and more dimensions) are on the device.

    The pictures of the next batch are copied while the GPU still computes the step before. Labels stay where they are:
    models look at them, and that must not wait for the GPU. Needs pinned memory.
    """
    if device.type != "cuda":
        yield from batches
        return
    stream = torch.cuda.Stream(device)
    waiting = None
    for batch in batches:
        with torch.cuda.stream(stream):
            coming = {name: sent(value, device) for name, value in batch.items()} if type(batch) is dict else batch
            there = torch.cuda.Event()
            there.record(stream)
        if waiting is not None:
            yield arrived(*waiting, device)
        waiting = coming, there
    if waiting is not None:
        yield arrived(*waiting, device)


def sent(value, device):
    return value.to(device, non_blocking=True) if is_picture(value) else value


def arrived(batch, there, device):
    """The batch, for use on the current stream, which waits for its copies without stopping the host."""
    current = torch.cuda.current_stream(device)
    current.wait_event(there)
    for value in batch.values() if type(batch) is dict else ():
        if is_picture(value):
            value.record_stream(current)  # its memory may be used again only when this stream is done with it
    return batch


def is_picture(value):
    return isinstance(value, torch.Tensor) and value.dim() >= 3
