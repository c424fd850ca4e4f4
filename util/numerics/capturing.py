"""--capture: CUDA graphs of training steps. A graph repeats the operations that it has captured, at a single call.

A graph works on the memory that it was captured with, and repeats the host's choices. What differs from step to step
must therefore arrive in tensors that stay in their place. For random draws of the host this is done by drawn(): a Tape
has the draws of a step made before the step, in the order in which the step makes them.

models/captured_step.py makes graphs of a model's steps. Nothing of this has been run on a GPU.
"""

import contextlib
import gc
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

# --- random draws ----------------------------------------------------------------------------------------------------


class Tape:
    """The draws of one kind of step: the functions that make them, and the tensors that the step reads."""

    def __init__(self) -> None:
        self.draws: list[tuple[Callable[[], torch.Tensor], torch.Tensor]] = []
        self.seeds: list[tuple[int, Callable[[], None]]] = []  # (number of draws before it, function that seeds)
        self.refused = False  # whether the step did what a graph can't repeat
        self._next: int | None = None  # the draw to read next; None while the tape is recorded

    @contextlib.contextmanager
    def recording(self) -> Iterator[None]:
        """Steps in the block make their draws, which are recorded."""
        self.draws, self.seeds, self.refused, self._next = [], [], False, None
        with _running(self):
            yield

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Steps in the block read the draws that refill() has made."""
        self._next = 0
        with _running(self):
            yield

    def refill(self) -> None:
        """Make the draws of the next step."""
        seeds = list(self.seeds)
        for number, (make, static) in enumerate(self.draws):
            while seeds and seeds[0][0] <= number:
                seeds.pop(0)[1]()
            static.copy_(_without_waiting(make(), static.device), non_blocking=True)

    def draw(self, make: Callable[[], torch.Tensor], device: torch.device) -> torch.Tensor:
        if self._next is None:
            static = _without_waiting(make(), device).to(device, non_blocking=True).clone()
            self.draws.append((make, static))
            return static
        if self._next == len(self.draws):
            raise RuntimeError("the step makes more random draws than when it was recorded")
        self._next += 1
        return self.draws[self._next - 1][1]


_tape: Tape | None = None


@contextlib.contextmanager
def _running(tape):
    global _tape
    before, _tape = _tape, tape
    try:
        yield
    finally:
        _tape = before


def drawn(make: Callable[[], torch.Tensor], device: torch.device) -> torch.Tensor:
    """make() on the device: random draws of the host, or of a generator of their own.

    In a captured step make() has been called before the step. So it must read nothing that the step computes. Draws
    of the device's default generator need no drawn(): graphs make them themselves, seeded anew for each step.
    """
    if _tape is None:
        return _without_waiting(make(), device).to(device, non_blocking=True)
    return _tape.draw(make, device)


def seeded(seed: Callable[[], None]) -> None:
    """seed(), which seeds generators of the host within a step: for the draws that follow it, also before the step."""
    if _tape is not None and _tape._next is None:
        _tape.seeds.append((len(_tape.draws), seed))
    seed()


def refuse() -> None:
    """To be called by what a graph can't repeat: this step is not captured."""
    if _tape is not None:
        _tape.refused = True


def _without_waiting(tensor, device):
    """The tensor where a copy to the device needs no waiting: pinned. The allocator keeps it until it is copied."""
    return tensor.pin_memory() if device.type == "cuda" and tensor.device.type == "cpu" else tensor


# --- graphs ----------------------------------------------------------------------------------------------------------


class CudaGraphs:
    """Captures functions. Its graphs share memory: a tensor that only one replay needs may be overwritten by another.

    Steps that are not captured run on the stream of the captures, so that autograd's nodes that accumulate gradients,
    which belong to a stream, are met on the same stream in a capture.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.stream = torch.cuda.Stream(device)
        self.pool = torch.cuda.graph_pool_handle()

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """Operations in the block run on the stream of the captures, in order with those before and after it."""
        current = torch.cuda.current_stream(self.device)
        self.stream.wait_stream(current)
        with torch.cuda.stream(self.stream):
            yield
        current.wait_stream(self.stream)

    def capture(self, function: Callable[[], Any]) -> Callable[[], Any]:
        """A function that repeats the device's work of function(), which is not done now, and returns its result."""
        gc.collect()  # what only a reference cycle keeps would stay for as long as the graph
        graph = torch.cuda.CUDAGraph()
        # thread_local: threads that load data may allocate meanwhile.
        with torch.cuda.graph(graph, pool=self.pool, stream=self.stream, capture_error_mode="thread_local"):
            result = function()

        def replay():
            graph.replay()
            return result

        return replay

    def release(self) -> None:
        """To be called before graphs are dropped. Later graphs have memory of their own."""
        torch.cuda.synchronize(self.device)
        self.pool = torch.cuda.graph_pool_handle()


class Calls:
    """Takes the place of CudaGraphs where there are no graphs: a replay calls the function."""

    def aside(self) -> contextlib.AbstractContextManager:
        return contextlib.nullcontext()

    def capture(self, function: Callable[[], Any]) -> Callable[[], Any]:
        return function

    def release(self) -> None:
        pass


class Rates:
    """The learning rates of Adams as tensors, which a graph reads anew at each replay.

    Only during a capture do the optimizers hold these tensors; schedulers and checkpoints meet numbers.
    """

    def __init__(self, optimizers: Sequence[torch.optim.Optimizer], device: torch.device) -> None:
        self._groups = [group for optimizer in optimizers for group in optimizer.param_groups]
        self._values = [group["lr"] for group in self._groups]
        self._tensors = [torch.full((), value, dtype=torch.float32, device=device) for value in self._values]

    def refill(self) -> None:
        """Before each replay."""
        for number, (group, tensor) in enumerate(zip(self._groups, self._tensors)):
            if group["lr"] != self._values[number]:
                self._values[number] = group["lr"]
                tensor.fill_(group["lr"])

    @contextlib.contextmanager
    def in_optimizers(self) -> Iterator[None]:
        """For the time of a capture."""
        before = [(group["lr"], group["capturable"]) for group in self._groups]
        for group, tensor in zip(self._groups, self._tensors):
            group["lr"], group["capturable"] = tensor, True
        try:
            yield
        finally:
            for group, (rate, capturable) in zip(self._groups, before):
                group["lr"], group["capturable"] = rate, capturable
