"""Gradients averaged over the processes of a run: in buckets that leave while the backward pass still runs.

The average is over images: a process counts by how many of the images of a step it has (distributed.step_weight).
"""

import contextlib

import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook

from util.errors import InputError
from util.processes import distributed

BUCKET_BYTES = 25 * 2**20  # few messages
FIRST_BUCKET_BYTES = 2**20  # leaves soon after the backward pass has begun
ALIGNED = 16  # bytes: where each gradient begins, so that vectorised kernels can read it


class Bucket:
    """Neighbouring parameters of one dtype and device, whose gradients are pieces of one flat tensor.

    Behind the gradients the tensor has an element for each parameter, which is positive after the sum if any process
    has a gradient for the parameter, and one for the loss of the step.
    """

    def __init__(self, parameters, compress=False):
        self.parameters = parameters
        self.compress = compress
        first = parameters[0]
        step = max(1, ALIGNED // first.element_size())
        starts = [0]
        for parameter in parameters:
            starts.append(starts[-1] + -(-parameter.numel() // step) * step)
        self.flat = torch.zeros(starts[-1] + len(parameters) + 1, dtype=first.dtype, device=first.device)
        self.views = [in_layout_of(parameter, self.flat, start) for parameter, start in zip(parameters, starts)]
        self.numbers, self.used, self.loss = self.flat[: starts[-1]], self.flat[starts[-1] : -1], self.flat[-1]
        self.missing = len(parameters)
        self.sent = self.sum = None

    def start(self, loss=None):
        """Add up over the processes; a parameter without a gradient here adds nothing. `loss`: a scalar to add up, too.

        What backward() has made elsewhere is copied into the pieces, by one call for all of them.
        """
        has = [parameter.grad is not None for parameter in self.parameters]
        pairs = [(view, parameter) for view, parameter, here in zip(self.views, self.parameters, has) if here]
        elsewhere = [(view, p.grad) for view, p in pairs if p.grad.data_ptr() != view.data_ptr()]
        if elsewhere:
            torch._foreach_copy_(*map(list, zip(*elsewhere)))
        for view, parameter in pairs:
            parameter.grad = view
        self.used.fill_(1)
        for number, here in enumerate(has):
            if not here:
                self.views[number].zero_()
                self.used[number].zero_()
        self.numbers.mul_(distributed.step_weight())
        if loss is not None:
            self.loss.copy_(loss * distributed.step_weight())
        self.sent = self.flat.bfloat16() if self.compress else self.flat
        self.sum = distributed.start_sum(self.sent)

    def finish(self):
        """Make the sums the gradients, also of a parameter that has one in another process only."""
        with distributed.explaining_lost_connections():
            self.sum.wait()
        if self.sent is not self.flat:
            self.flat.copy_(self.sent)
        self.sent = None
        without = [number for number, p in enumerate(self.parameters) if p.grad is None and p.requires_grad]
        if without:  # only then the host reads the flags, and on CUDA waits for them
            used = self.used.tolist()
            for number in without:
                if used[number] > 0:
                    self.parameters[number].grad = self.views[number]


def in_layout_of(parameter, flat, start):
    """The piece of `flat` from `start` on, with the shape and strides of a parameter, as fused optimizers need it."""
    piece = flat[start : start + parameter.numel()]
    if not is_dense(parameter):
        return piece.view(parameter.shape)
    return torch.as_strided(piece, parameter.size(), parameter.stride())


def is_dense(tensor):
    """Whether the elements of a tensor lie in memory without gaps, in any order of the dimensions."""
    expected = 1
    for stride, size in sorted((stride, size) for stride, size in zip(tensor.stride(), tensor.size()) if size > 1):
        if stride != expected:
            return False
        expected *= size
    return True


class Averaging:
    """Of the gradients of some parameters. arm() before the backward pass that completes them, finish() after it.

    Without `overlap` nothing leaves before finish(), and arm() must not be called. With `compress` gradients travel in
    bfloat16.
    """

    def __init__(self, parameters, overlap=True, compress=False):
        self.parameters = list(parameters)
        self.buckets = list(make_buckets(self.parameters, compress))
        self._armed = False
        self._next = 0  # the bucket to leave next; all processes send them in one order
        self._loss = None  # of the running step; the first bucket takes it along
        self._hooks = [
            parameter.register_post_accumulate_grad_hook(lambda _, bucket=bucket: self._arrived(bucket))
            for bucket in self.buckets
            for parameter in bucket.parameters
            if overlap and parameter.requires_grad
        ]

    def arm(self, loss):
        """`loss`: of the step in this process."""
        self._armed, self._next, self._loss = True, 0, loss
        for bucket in self.buckets:
            bucket.missing = sum(parameter.requires_grad for parameter in bucket.parameters)

    def _arrived(self, bucket):
        if not self._armed:
            return
        bucket.missing -= 1
        while self._next < len(self.buckets) and self.buckets[self._next].missing == 0:
            self._start_next()

    def _start_next(self):
        self.buckets[self._next].start(self._loss if self._next == 0 else None)
        self._next += 1

    def finish(self, loss=None):
        """All gradients are averages when it returns, and so is the loss, which is returned.

        Without arm() before, everything is sent now. A process counts by its images.
        """
        self._loss = loss
        self._armed, self._next = False, self._next if self._armed else 0
        while self._next < len(self.buckets):
            self._start_next()
        for bucket in self.buckets:
            bucket.finish()
        if loss is None or not self.buckets:
            return loss
        return self.buckets[0].loss.to(loss.dtype, copy=True)

    def remove(self):
        for hook in self._hooks:
            hook.remove()


def make_buckets(parameters, compress=False):
    """Last parameters first: their gradients are ready first."""
    group, size, most = [], 0, FIRST_BUCKET_BYTES
    for parameter in reversed(parameters):
        other = group and (group[0].dtype, group[0].device) != (parameter.dtype, parameter.device)
        if group and (other or size + parameter.nbytes > most):
            yield Bucket(group, compress)
            group, size, most = [], 0, BUCKET_BYTES
        group.append(parameter)
        size += parameter.nbytes
    if group:
        yield Bucket(group, compress)


class Averagings:
    """The Averaging of each set of parameters that is stepped together, made when it is first met."""

    def __init__(self, overlap=True, compress=False):
        self._settings = {"overlap": overlap, "compress": compress}
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
            self._made[key] = Averaging(parameters, **self._settings)
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
def before_every_step(compress=False):
    """While the block runs, gradients are averaged before any other optimizer step: those that plug-ins make.

    With `compress` gradients travel in bfloat16.
    """
    if distributed.world_size() == 1:
        yield
        return
    averagings = Averagings(overlap=False, compress=compress)

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
