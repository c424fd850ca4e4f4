"""Values and tensors exchanged between the processes of a run.

Functions marked "collective" must be called by all ranks, in the same order. With a world size of 1 all of them return
at once and do not import torch.
"""

import contextlib
import functools
import zlib

from util.errors import InputError
from util.processes import session
from util.processes.session import explaining_lost_connections


def on_rank0(function):
    """Run function() on rank 0 alone and return its value on all ranks. Collective; the value is pickled.

    An InputError there ends all ranks and is printed once.
    """
    if session.world_size() == 1:
        return function()
    answer = None
    if session.rank() == 0:
        try:
            answer = function(), None
        except InputError as error:
            answer = None, error
    value, refusal = _broadcast(answer)
    if refusal is not None:
        raise raised_once(refusal)
    return value


def run_on_all_ranks(function):
    """Run function() on each rank and return the rank's own value; an InputError on any rank ends all. Collective."""
    if session.world_size() == 1:
        return function()
    value = error = None
    try:
        value = function()
    except InputError as raised:
        error = raised
    errors = gather(error)
    found = [(number, each) for number, each in enumerate(errors) if each is not None]
    if not found:
        return value
    number, error = found[0]
    raise raised_once(error if number == 0 else InputError(f"process {number} of {session.world_size()}: {error}"))


def raised_once(error):
    """The exception to raise for an InputError that occurs on all ranks: rank 0 prints it, the others exit."""
    return error if session.rank() == 0 else SystemExit(2)


@contextlib.contextmanager
def entered_on_rank0(manager):
    """A context manager that rank 0 alone enters; if entering fails there, all ranks end."""
    with contextlib.ExitStack() as stack:
        on_rank0(lambda: stack.enter_context(manager) and None)
        yield


class Absent:
    """Replaces on the other ranks an object that exists on rank 0 only: every method does nothing."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *args, **kwargs: None


def made_on_rank0(make):
    """make() on rank 0, Absent on the other ranks."""
    return make() if session.rank() == 0 else Absent()


# --- values ----------------------------------------------------------------------------------------------------------


def value_of_rank0(value):
    """The value that rank 0 passed. Collective."""
    return value if session.world_size() == 1 else _broadcast(value)


def gather(value):
    """The values of all ranks in a list, on every rank. Collective; the values are pickled."""
    if session.world_size() == 1:
        return [value]
    import torch.distributed as dist

    values = [None] * session.world_size()
    with explaining_lost_connections():
        dist.all_gather_object(values, value)
    return values


def gather_on_rank0(value):
    """The values of all ranks in a list on rank 0; an empty list on the others. Collective; the values are pickled."""
    if session.world_size() == 1:
        return [value]
    import torch.distributed as dist

    values = [None] * session.world_size() if session.rank() == 0 else None
    with explaining_lost_connections():
        dist.gather_object(value, values)
    return values or []


def maximum(number):
    """The largest of the ranks' integers. Collective; takes a fraction of a millisecond and does not wait for a GPU."""
    return start_maximum([number])()[0]


def start_maximum(numbers):
    """Start the maximum of each integer of a list over the ranks; returns a function that waits for it and returns it.

    Collective: all ranks must start it; the function may be called later or never.
    """
    if session.world_size() == 1:
        return lambda: numbers
    import torch
    import torch.distributed as dist

    largest = torch.tensor(numbers)
    with explaining_lost_connections():
        work = dist.all_reduce(largest, dist.ReduceOp.MAX, async_op=True)

    def result():
        with explaining_lost_connections():
            work.wait()
        return largest.tolist()

    return result


def compare_step_shapes(batch):
    """Start to find out whether the tensors of a batch (a dict) have the same shapes on all ranks. Collective.

    Until the next step, tensors that are computed from the batch are then exchanged without exchanging their sizes.
    """
    if session.world_size() == 1 or not isinstance(batch, dict):
        return
    shapes = sorted((name, tuple(value.shape)) for name, value in batch.items() if hasattr(value, "shape"))
    number = zlib.crc32(repr(shapes).encode())
    largest = start_maximum([number, -number])
    session.set_shapes_are_equal(functools.cache(lambda: largest() == [number, -number]))


def step_is_even():
    """Whether the batches of the current step have one shape and one weight in all processes; all get the same answer.

    Waits until all processes have begun the step.
    """
    size = session.world_size()
    return size == 1 or (session.step_weight() == 1 / size and bool(session.shapes_are_equal()))


def sum_by_name(values):
    """A dictionary of numbers, each summed over the ranks that have its name. Collective."""
    if session.world_size() == 1:
        return values
    total = {}
    for own in gather(values):
        for name, value in own.items():
            total[name] = total.get(name, 0) + value
    return total


# --- tensors ---------------------------------------------------------------------------------------------------------


def broadcast_tensors(tensors):
    """Overwrite the tensors with those of rank 0. Collective."""
    if session.world_size() == 1:
        return
    import torch.distributed as dist

    with explaining_lost_connections():
        for tensor in tensors:
            whole = tensor.contiguous()
            dist.broadcast(whole, 0)
            if whole is not tensor:
                tensor.copy_(whole)


def start_sum(tensor):
    """Start to sum a tensor over the ranks, in place; call wait() on the returned handle. Collective."""
    import torch.distributed as dist

    with explaining_lost_connections():
        return dist.all_reduce(tensor, async_op=True)


def concatenate_own_first(rows):
    """The tensors (N, ...) of all ranks concatenated, this rank's rows first. No gradient. Collective."""
    if session.world_size() == 1:
        return rows
    import torch

    found = _rows_of_all(rows)
    own = session.rank()
    return torch.cat((found[own], *(each for number, each in enumerate(found) if number != own)))


def concatenate_in_rank_order(rows):
    """(the tensors (N, ...) of all ranks concatenated in rank order, index of this rank's first row). Collective."""
    if session.world_size() == 1:
        return rows, 0
    import torch

    found = _rows_of_all(rows)
    return torch.cat(found), sum(len(each) for each in found[: session.rank()])


def _rows_of_all(rows):
    import torch
    import torch.distributed as dist

    size = session.world_size()
    rows = rows.detach().contiguous()
    alike = session.shapes_are_equal() or len(set(_gather_integer(len(rows)))) == 1
    if not alike:  # in the short last step of an epoch, or with images of several sizes
        return [each.to(rows.device) for each in gather(rows.cpu())]
    found = [torch.empty_like(rows) for _ in range(size)]
    with explaining_lost_connections():
        dist.all_gather(found, rows)
    return found


def _gather_integer(number):
    return start_maximum([number if rank == session.rank() else 0 for rank in range(session.world_size())])()


def _broadcast(value):
    import torch.distributed as dist

    box = [value]
    with explaining_lost_connections():
        dist.broadcast_object_list(box, 0)
    return box[0]
