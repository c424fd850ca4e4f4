"""Average the gradients over the processes of a run.

Gradients are copied into buckets, and a full bucket is sent while the backward pass still computes the others. Each
process is weighted by its share of the images of the step (distributed.step_weight).
"""

import contextlib

import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook

from util.errors import InputError
from util.processes import distributed

BUCKET_BYTES = 25 * 2**20  # as in PyTorch's DDP: large, so that there are few messages
FIRST_BUCKET_BYTES = 2**20  # small, so that it is sent soon after the backward pass has begun
ALIGNED = 16  # bytes: alignment of each gradient, which vectorised kernels need


class Bucket:
    """Neighbouring parameters of one dtype and device, whose gradients are views of one flat tensor.

    The gradients are followed by an element for each parameter, whose sum is positive if any process has a gradient for
    the parameter, and by an element for the loss of the step. `missing` counts the gradients that the backward pass has
    not computed yet.
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
        """Start the weighted sum over the processes; a parameter without a gradient here adds 0. `loss`: a scalar.

        Gradients that backward() has computed in other memory are copied into the views, by one call for all of them.
        """
        has_gradient = [parameter.grad is not None for parameter in self.parameters]
        pairs = [(view, parameter) for view, parameter, has in zip(self.views, self.parameters, has_gradient) if has]
        elsewhere = [(view, p.grad) for view, p in pairs if p.grad is not view]
        if elsewhere:
            torch._foreach_copy_(*map(list, zip(*elsewhere)))
        for view, parameter in pairs:
            parameter.grad = view
        self.used.fill_(1)
        for number, has in enumerate(has_gradient):
            if not has:
                self.views[number].zero_()
                self.used[number].zero_()
        self.numbers.mul_(distributed.step_weight())
        if loss is not None:
            self.loss.copy_(loss * distributed.step_weight())
        self.sent = self.flat.bfloat16() if self.compress else self.flat
        self.sum = distributed.start_sum(self.sent)

    def finish(self):
        """Wait for the sums, which become the gradients, also of parameters with a gradient in another process only."""
        with distributed.explaining_lost_connections():
            self.sum.wait()
        if self.sent is not self.flat:
            self.flat.copy_(self.sent)
        self.sent = None
        without = [number for number, p in enumerate(self.parameters) if p.grad is None and p.requires_grad]
        if without:  # otherwise the host need not wait for the device to read the flags
            used = self.used.tolist()
            for number in without:
                if used[number] > 0:
                    self.parameters[number].grad = self.views[number]


def in_layout_of(parameter, flat, start):
    """A view of `flat` from `start` on with the shape and strides of a parameter, which fused optimizers need."""
    piece = flat[start : start + parameter.numel()]
    if not is_dense(parameter):
        return piece.view(parameter.shape)
    return torch.as_strided(piece, parameter.size(), parameter.stride())


def is_dense(tensor):
    """Whether a tensor has no gaps in memory, for any order of its dimensions."""
    expected = 1
    for stride, size in sorted((stride, size) for stride, size in zip(tensor.stride(), tensor.size()) if size > 1):
        if stride != expected:
            return False
        expected *= size
    return True


class GradientMean:
    """Averages the gradients of a list of parameters.

    Call arm() before the last backward pass of a step and finish() after it. Without `overlap`, finish() sends all
    buckets, and arm() must not be called. With `compress`, gradients are sent in bfloat16.
    """

    def __init__(self, parameters, overlap=True, compress=False):
        self.parameters = list(parameters)
        self.buckets = list(make_buckets(self.parameters, compress))
        self._armed = False
        self._next = 0  # index of the next bucket to send; all processes must send them in the same order
        self._loss = None  # of the current step; sent with the first bucket
        self._hooks = [
            parameter.register_post_accumulate_grad_hook(lambda _, bucket=bucket: self._count_gradient(bucket))
            for bucket in self.buckets
            for parameter in bucket.parameters
            if overlap and parameter.requires_grad
        ]

    def arm(self, loss):
        """Send each bucket as soon as the next backward pass has its gradients. `loss`: of the step in this process."""
        self._armed, self._next, self._loss = True, 0, loss
        for bucket in self.buckets:
            bucket.missing = sum(parameter.requires_grad for parameter in bucket.parameters)

    def disarm(self):
        """Undo arm(), after a backward pass that an error has ended."""
        self._armed = False

    def _count_gradient(self, bucket):
        if not self._armed:
            return
        bucket.missing -= 1
        while self._next < len(self.buckets) and self.buckets[self._next].missing == 0:
            self._start_next()

    def _start_next(self):
        self.buckets[self._next].start(self._loss if self._next == 0 else None)
        self._next += 1

    def finish(self, loss=None):
        """Send the remaining buckets (all, without arm()) and write the averages into the gradients.

        Returns the average of the losses.
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
    """Buckets of the parameters in reverse order, because the backward pass computes the last gradients first."""
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


class GradientMeans:
    """Creates and keeps a GradientMean for each group of optimizers that are stepped together."""

    def __init__(self, overlap=True, compress=False):
        self._settings = {"overlap": overlap, "compress": compress}
        self._made = {}  # ids of parameters -> GradientMean, which keeps the parameters alive: an id is not reused

    def of(self, optimizers):
        """The GradientMean of the optimizers' parameters; None in a single process.

        Optimizers may get more parameters (of a network that is built late): a new GradientMean replaces the old one.
        """
        if distributed.world_size() == 1:
            return None
        parameters = [p for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]]
        key = tuple(map(id, parameters))
        if key not in self._made:
            for other in [other for other in self._made if not set(other).isdisjoint(key)]:
                self._made.pop(other).remove()
            self._made[key] = GradientMean(parameters, **self._settings)
        self._made[key].disarm()
        return self._made[key]


_averaged = False  # whether the gradients are averages already


@contextlib.contextmanager
def averaged():
    """Around optimizer steps whose gradients are averages already, as in BaseModel.step(): no second average."""
    global _averaged
    before, _averaged = _averaged, True
    try:
        yield
    finally:
        _averaged = before


@contextlib.contextmanager
def before_every_step(compress=False):
    """While the block runs, average the gradients before every optimizer step outside averaged(): those of plug-ins.

    With `compress`, gradients are sent in bfloat16.
    """
    if distributed.world_size() == 1:
        if compress:
            print("--compress_gradients: no effect, because this run has one process, which exchanges no gradients")
        yield
        return
    means = GradientMeans(overlap=False, compress=compress)

    def average(optimizer, args, kwargs):
        if _averaged:
            return
        if len(args) > 1 or kwargs.get("closure") is not None:  # args[0] is the optimizer
            raise InputError(
                f"{type(optimizer).__name__}.step(closure): its gradients are computed inside the step, where they "
                "can't be averaged over processes; train this model in one process"
            )
        means.of([optimizer]).finish()

    hook = register_optimizer_step_pre_hook(average)
    try:
        yield
    finally:
        hook.remove()
