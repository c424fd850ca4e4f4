"""--compile: run the forward passes of the networks through torch.compile.

The keys of a network's state dict do not change, and a deepcopy of a network uses the weights of the copy. A network
that can't be compiled runs uncompiled.
"""

import contextlib
import functools
import types
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from util.numerics.precision import in_full_precision

REPLAYING = ("reduce-overhead", "max-autotune")  # on CUDA these replay CUDA graphs
BLOCKS = "blocks"  # compiles repeated blocks, once for all of them, instead of the whole network
# A network is compiled for the first shape of its input, and then for frequent shapes: at least OFTEN calls, and at
# least one call in OFTEN. Compiling takes minutes, which would not pay for a short last batch, or for images that all
# differ in size.
OFTEN = 8
MOST_SHAPES = 4


def compile_networks(nets: dict[str, nn.Module], mode: str, device: torch.device) -> None:
    """Compile networks, {name: network}, at their first use. Call this after Precision.use_autocast().

    A second call changes nothing. If no compiler works, one line is printed and the networks run uncompiled.
    torch.compile can't trace random generators: a network with a method `draw` is not compiled, unless it has a method
    `with_draws`, which returns the arguments of forward() with the random draws among them.

    With BLOCKS, only the blocks of a network are compiled: its modules with the attribute `is_repeated`. A network
    without blocks is compiled as a whole. Blocks of one class, and networks of one class, share the compiled code.
    """
    if mode == "none":
        return
    reason = why_not(device.type)
    if reason is not None:
        print(f"--compile {mode}: nothing can be compiled here, so the networks run uncompiled ({reason})")
        return
    print(f"--compile {mode}: the networks are compiled in the first steps, which may take minutes")
    made: dict[Any, Compiled] = {}
    for name, net in nets.items():
        if hasattr(net, "draw") and not hasattr(net, "with_draws"):
            continue
        blocks = [module for module in net.modules() if mode == BLOCKS and getattr(module, "is_repeated", False)]
        for part in blocks or [net]:
            forward = getattr(part.forward, "__func__", None)
            if forward is None:  # a function that was assigned to this object: a deepcopy could not share it
                continue
            forward = getattr(forward, "plain", forward)
            key = (type(part), forward) if mode == BLOCKS else name
            if key not in made:
                made[key] = Compiled(forward, mode, f"{name}, {type(part).__name__}" if blocks else name, device)
            part.forward = types.MethodType(made[key], part)


def begin_step(mode: str, device: torch.device) -> None:
    """Call this before each batch: after it, replayed CUDA graphs may overwrite the outputs of the last batch."""
    if mode in REPLAYING and device.type == "cuda":
        torch.compiler.cudagraph_mark_step_begin()


@functools.cache
def why_not(kind: str) -> str | None:
    """None if torch.compile works on this type of device, forward and backward; otherwise the reason in one line."""
    x = torch.ones(2, device=kind, requires_grad=True)
    try:
        torch.compile(lambda x: (2 * x).sin().sum())(x).backward()
    except Exception as error:  # a missing, old or broken compiler raises many kinds of errors
        return first_line(error)
    return None


def first_line(error: Exception) -> str:
    """The first line of the error's message, or of the original error's message if torch has wrapped it."""
    error = getattr(error, "inner_exception", error)
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


class Compiled:
    """A forward() to be bound to a network: compiled for frequent input shapes, uncompiled for others.

    `forward` is a function of (network, ...). Deep copies of the network share this object, which holds no network.
    """

    def __init__(self, forward: types.FunctionType, mode: str, name: str, device: torch.device):
        self.plain, self.mode, self.name = forward, mode, name
        self.compiled = torch.compile(with_own_cache(forward), dynamic=False, **settings(mode, device))
        self.replays = mode in REPLAYING and device.type == "cuda"
        self.calls = 0
        self.counts: dict[tuple, int] = {}  # shapes -> number of calls
        self.chosen: set[tuple] = set()  # shapes that are compiled for
        self.broken = False

    def __call__(self, net, *args, **kwargs):
        if self.broken or in_full_precision() or not self.takes((args, kwargs)):
            return self.plain(net, *args, **kwargs)
        if hasattr(net, "with_draws"):
            args, kwargs = net.with_draws(*args, **kwargs), {}
        try:
            with _compiling_backward_at_once():
                result = self.compiled(net, *args, **kwargs)
        except torch._dynamo.exc.TorchDynamoException as error:
            print(f"--compile {self.mode}: {self.name} can't be compiled and runs uncompiled ({first_line(error)})")
            self.broken = True
            return self.plain(net, *args, **kwargs)
        # The next replay of a graph overwrites its outputs, which image pools and visuals keep.
        return cloned(result) if self.replays else result

    def takes(self, arguments) -> bool:
        """Count a call, and return whether to run it compiled, by the shapes of its tensors."""
        shapes = tuple(shapes_in(arguments))
        self.calls += 1
        if shapes in self.chosen:
            return True
        count = self.counts[shapes] = self.counts.get(shapes, 0) + 1
        often = count >= OFTEN and count * OFTEN >= self.calls
        if self.chosen and not (often and len(self.chosen) < MOST_SHAPES):
            return False
        self.chosen.add(shapes)
        return True


def _compiling_backward_at_once() -> contextlib.AbstractContextManager:
    """Compile the backward pass with the forward pass: an error at its first use would come too late for a fallback."""
    import torch._functorch.config as functorch

    return functorch.patch(force_non_lazy_backward_lowering=True)


def settings(mode: str, device: torch.device) -> dict:
    """Arguments of torch.compile for a value of --compile."""
    mode = "default" if mode == BLOCKS else mode
    if device.type != "cpu":
        return {"mode": mode}
    # With layout optimization, the compiled backward pass of replication padding fails on the CPU: the gradient gets a
    # memory layout that the compiled code refuses.
    return {"options": {**torch._inductor.list_mode_options(mode), "layout_optimization": False}}


def with_own_cache(function: types.FunctionType) -> types.FunctionType:
    """A copy of the function with a code object of its own, which torch uses as the key of its compile cache."""
    copy = types.FunctionType(
        function.__code__.replace(),
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy


def shapes_in(value) -> Iterator[torch.Size]:
    """The shapes of all tensors in nested lists, tuples and dicts."""
    if isinstance(value, torch.Tensor):
        yield value.shape
    elif isinstance(value, (list, tuple, dict)):
        for each in value.values() if isinstance(value, dict) else value:
            yield from shapes_in(each)


def cloned(value):
    """The same nested lists, tuples and dicts with differentiable copies of the tensors."""
    if isinstance(value, torch.Tensor):
        return value.clone()
    if type(value) in (list, tuple):
        return type(value)(cloned(each) for each in value)
    if type(value) is dict:
        return {name: cloned(each) for name, each in value.items()}
    return value
