"""Gradients averaged over the processes of a run: in buckets that leave while the backward pass still runs.

The average is over images: a process counts by how many of the images of a step it has (distributed.step_weight).
"""

import contextlib

import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook

from util.errors import InputError
from util.processes import distributed

BUCKET_BYTES = 25 * 2**20  # few enough messages, and the first one leaves early


class Bucket:
    """Neighbouring parameters of one dtype and device, and room for all of their gradients in one piece."""

    def __init__(self, parameters):
        self.parameters = parameters
        sizes = [p.numel() for p in parameters]
        self.flat = torch.empty(sum(sizes), dtype=parameters[0].dtype, device=parameters[0].device)
        pieces = self.flat.split(sizes)
        self.views = [piece.view(p.shape) for piece, p in zip(pieces, parameters)]
        self.missing = len(parameters)
        self.sum = None

    def start(self):
        """Add up over the processes; a parameter without a gradient here adds nothing."""
        for view, parameter in zip(self.views, self.parameters):
            view.copy_(parameter.grad) if parameter.grad is not None else view.zero_()
        self.sum = distributed.start_sum(self.flat.mul_(distributed.step_weight()))

    def finish(self, wanted):
        """Put the sums where the gradients were; `wanted`: which parameters have one in any of the processes."""
        with distributed.explaining_lost_connections():
            self.sum.wait()
        for view, parameter, has in zip(self.views, self.parameters, wanted):
            if has and parameter.grad is None:
                parameter.grad = torch.empty_like(parameter)  # in its layout in memory, which a view hasn't
            if has:
                parameter.grad.copy_(view)


class Averaging:
    """Of the gradients of some parameters. arm() before the backward pass that completes them, finish() after it.

    Without `overlap` nothing leaves before finish(), and arm() must not be called.
    """

    def __init__(self, parameters, overlap=True):
        self.parameters = list(parameters)
        self.buckets = list(make_buckets(self.parameters))
        self._armed = False
        self._next = 0  # the bucket to leave next; all processes send them in one order
        self._hooks = [
            parameter.register_post_accumulate_grad_hook(lambda _, bucket=bucket: self._arrived(bucket))
            for bucket in self.buckets
            for parameter in bucket.parameters
            if overlap and parameter.requires_grad
        ]

    def arm(self):
        self._armed, self._next = True, 0
        for bucket in self.buckets:
            bucket.missing = sum(parameter.requires_grad for parameter in bucket.parameters)

    def _arrived(self, bucket):
        if not self._armed:
            return
        bucket.missing -= 1
        while self._next < len(self.buckets) and self.buckets[self._next].missing == 0:
            self._start_next()

    def _start_next(self):
        self.buckets[self._next].start()
        self._next += 1

    def finish(self):
        """All gradients are averages when it returns; without arm() before, everything is sent now."""
        self._armed, self._next = False, self._next if self._armed else 0
        while self._next < len(self.buckets):
            self._start_next()
        wanted = iter(set_on_any_rank([p.grad is not None for bucket in self.buckets for p in bucket.parameters]))
        for bucket in self.buckets:
            bucket.finish([next(wanted) for _ in bucket.parameters])

    def remove(self):
        for hook in self._hooks:
            hook.remove()


def make_buckets(parameters):
    """Last parameters first: their gradients are ready first."""
    group, size = [], 0
    for parameter in reversed(parameters):
        other = group and (group[0].dtype, group[0].device) != (parameter.dtype, parameter.device)
        if group and (other or size + parameter.nbytes > BUCKET_BYTES):
            yield Bucket(group)
            group, size = [], 0
        group.append(parameter)
        size += parameter.nbytes
    if group:
        yield Bucket(group)


def set_on_any_rank(flags):
    """Which of the flags are set in any process. Collective."""
    return [total > 0 for total in distributed.sum_of_integers([int(flag) for flag in flags])]


class Averagings:
    """The Averaging of each set of parameters that is stepped together, made when it is first met."""

    def __init__(self, overlap=True):
        self._overlap = overlap
        self._made = {}  # ids of parameters, which an Averaging keeps alive -> Averaging

    def of(self, optimizers):
        """None where there is one process. A set that has grown (a network built late) takes the place of the old."""
        if distributed.world_size() == 1:
            return None
        parameters = [p for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]]
        key = tuple(map(id, parameters))
        if key not in self._made:
            for other in [other for other in self._made if not set(other).isdisjoint(key)]:
                self._made.pop(other).remove()
            self._made[key] = Averaging(parameters, self._overlap)
        return self._made[key]


_averaged = False  # whether the optimizer steps that are made now have averaged gradients already


@contextlib.contextmanager
def averaged():
    """Round the optimizer steps of BaseModel.step(), whose gradients are averages."""
    global _averaged
    before, _averaged = _averaged, True
    try:
        yield
    finally:
        _averaged = before


@contextlib.contextmanager
def before_every_step():
    """While the block runs, gradients are averaged before any other optimizer step: those that plug-ins make."""
    if distributed.world_size() == 1:
        yield
        return
    averagings = Averagings(overlap=False)

    def average(optimizer, args, kwargs):
        if _averaged:
            return
        if len(args) > 1 or kwargs.get("closure") is not None:  # args[0] is the optimizer
            raise InputError(
                f"{type(optimizer).__name__}.step(closure): its gradients are made inside the step, where they can't "
                "be averaged; train this model in one process"
            )
        averagings.of([optimizer]).finish()

    hook = register_optimizer_step_pre_hook(average)
    try:
        yield
    finally:
        hook.remove()
