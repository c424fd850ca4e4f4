"""The data loader: the batches of a data set are a function of (seed, epoch)."""

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
from util.errors import InputError, some_of
from util.factory import make
from util.numerics import seeding
from util.processes import distributed


class PositionSampler(Sampler):
    """Yields batches of (epoch, index). Each index has its epoch, because workers are kept from epoch to epoch.

    The images of a step are neighbours in the epoch's order and are divided among the processes of the run. The last
    step of an epoch may have fewer images; a process without an image then loads one, which has no weight, because all
    processes must make every step.
    """

    def __init__(self, dataset, visits, step_size, seed, serial, drop_last=False):
        self.dataset = dataset  # its method visiting_order(seed, epoch, shuffled), if there is one, sets the order
        self.visits = visits  # number of items in an epoch
        self.step_size = step_size  # images of a step, over all processes
        self.seed = seed
        self.serial = serial
        self.steps = visits // step_size if drop_last else math.ceil(visits / step_size)
        self.epoch = 0
        self.start = 0  # the first step of the epoch

    def set_epoch(self, epoch):
        self.epoch = epoch

    def images_of(self, step):
        """(images in this process, in all processes) of a step of the epoch, counted from 0."""
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
    """The batches of the data set that ``opt.dataset_mode`` names: dicts whose tensors are (N, C, H, W).

    The batches depend on opt.seed, not on opt.num_threads. Workers start in the first epoch and are kept; they ignore
    SIGINT, SIGTERM and SIGUSR1, and end with this object or the program.
    """

    def __init__(self, opt):
        self.opt = opt
        self.dataset = make(find_dataset_using_name(opt.dataset_mode), opt)
        print(f"dataset [{type(self.dataset).__name__}] was created")
        length = len(self.dataset)
        if length == 0:
            raise InputError(f"--dataroot {opt.dataroot}: {type(self.dataset).__name__} finds no images in it")
        # The last step is a full one, even if it exceeds --max_dataset_size.
        size = distributed.step_size(opt)
        visits = min(length, math.ceil(len(self) / size) * size)
        if opt.drop_last and visits < size:
            raise InputError(
                f"--drop_last: {visits} images don't fill {describe(opt)}; reduce --batch_size {opt.batch_size}"
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
                generator=torch.Generator(),  # otherwise PyTorch draws from the generator of the training
            )
        self._skip = 0
        self.left_out = []  # in a test: a line for each image that could not be read
        self._running = []
        # Before multiprocessing's own exit handler, which waits for ever for processes that ignore SIGTERM.
        atexit.register(weakref.finalize(self, stop_workers, self._running, os.getpid()))

    def load_data(self):
        return self

    def guard(self):
        """A context manager for the whole training: the death of a data worker becomes a clear error."""
        return naming_dead_workers()

    def set_epoch(self, epoch):
        """Set the epoch before an iteration: it determines the order, the crops and flips, and current_epoch."""
        self.sampler.set_epoch(epoch)
        self.dataset.current_epoch = epoch

    def skip(self, batches):
        """Leave out the first `batches` batches of the next iteration; they are not loaded."""
        self._skip = batches

    def roots(self):
        """The folders that contain the image files."""
        return roots_of(self.dataset, self.opt.dataroot)

    def __len__(self):
        """The number of images in an epoch, limited by --max_dataset_size."""
        return int(min(len(self.dataset), self.opt.max_dataset_size))

    def batches_per_epoch(self):
        """The number of steps in an epoch, the same in all processes."""
        return len(self.dataloader)

    def images_of(self, step):
        """(images in this process, in all processes) of a step of the epoch, counted from 0."""
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
            print_replaced(replaced)

    def list_left_out(self):
        """Print the images that a test left out; returns the exit code of the test: 1 if there are any, otherwise 0."""
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
    """Suppress PyTorch's warning about more workers than cores: they cost little, and --num_threads sets them."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="This DataLoader will create")
        yield


def describe(opt):
    """The size of a step, as text."""
    size = distributed.step_size(opt)
    return "a batch" if size == opt.batch_size else f"a step of {size}"


def print_replaced(texts):
    different = list(dict.fromkeys(texts))
    print(f"--skip_bad_images: {len(different)} could not be read in this epoch: {some_of(different, 5, '; ')}")


def stop_workers(running, owner):
    """End the workers of an iteration. They ignore SIGTERM, with which PyTorch and Python would end them."""
    if os.getpid() != owner:  # a copy of the loader in a forked worker
        return
    for batches in running:
        batches._shutdown_workers()
        for worker in batches._workers:
            if worker.is_alive():
                worker.kill()


def fetched_ahead(batches, device):
    """Yields the batches; on CUDA, the images of the next batch are copied to the device during the current step.

    Images are tensors with 3 or more dimensions. Labels stay in the host's memory, where models read them without
    waiting for the GPU. The copies need pinned memory.
    """
    if device.type != "cuda":
        yield from batches
        return
    stream = torch.cuda.Stream(device)
    waiting = None
    for batch in batches:
        with torch.cuda.stream(stream):
            sent = {name: send(value, device) for name, value in batch.items()} if type(batch) is dict else batch
            copied = torch.cuda.Event()
            copied.record(stream)
        if waiting is not None:
            yield arrived(*waiting, device)
        waiting = sent, copied
    if waiting is not None:
        yield arrived(*waiting, device)


def send(value, device):
    return value.to(device, non_blocking=True) if is_image(value) else value


def arrived(batch, copied, device):
    """The batch; the current stream waits for the event `copied`, the host does not wait."""
    current = torch.cuda.current_stream(device)
    current.wait_event(copied)
    for value in batch.values() if type(batch) is dict else ():
        if is_image(value):
            value.record_stream(current)  # otherwise its memory could be reused while this stream reads it
    return batch


def is_image(value):
    return isinstance(value, torch.Tensor) and value.dim() >= 3
