"""--compile: the forwards of the networks through torch.compile, for as long as that works.

The keys of a network stay, and a deepcopy of it uses the copy's weights. What can't be compiled runs as it is.
"""

import functools
import types

import torch

from util.numerics.precision import in_full_precision

REPLAYING = ("reduce-overhead", "max-autotune")  # on CUDA these replay CUDA graphs
# After the first shape of its input a network is compiled for those that come often: so many times, and in one call
# of so many. A short last batch, and images each of their own size, would cost minutes and never pay.
OFTEN = 8
MOST_SHAPES = 4


def compile_networks(nets, mode, device):
    """Compile networks, {name: network}, when they are first used; after Precision.prepare. Again is as good as once.

    Where no compiler works one line says so and nothing changes. Random generators can't be traced: a network with a
    method `draw` is left out, unless it has `with_draws`, which makes of its arguments those of a forward that draws
    nothing any more.
    """
    if mode == "none":
        return
    reason = why_not(device.type)
    if reason is not None:
        print(f"--compile {mode}: nothing can be compiled here, so the networks run as they are ({reason})")
        return
    print(f"--compile {mode}: the first steps take up to minutes, in which the networks are compiled")
    for name, net in nets.items():
        if hasattr(net, "draw") and not hasattr(net, "with_draws"):
            continue
        forward = getattr(net.forward, "__func__", None)
        if forward is not None:  # otherwise somebody's own replacement, which belongs to that one object
            forward = getattr(forward, "plain", forward)
            net.forward = types.MethodType(Compiled(forward, mode, name, device), net)


def begin_step(mode, device):
    """Before each batch: from here on a replayed graph may write where the last batch's numbers are."""
    if mode in REPLAYING and device.type == "cuda":
        torch.compiler.cudagraph_mark_step_begin()


@functools.cache
def why_not(kind):
    """None if torch.compile works for this kind of device, forward and backward; otherwise the reason, one line."""
    x = torch.ones(2, device=kind, requires_grad=True)
    try:
        torch.compile(lambda x: (2 * x).sin().sum())(x).backward()
    except Exception as error:  # a compiler that is missing, too old or broken shows in many ways
        return first_line(error)
    return None


def first_line(error):
    error = getattr(error, "inner_exception", error)  # torch's own around it says less
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


class Compiled:
    """A forward to be bound to one network: compiled for the shapes that it meets often, plain for the others.

    `forward` is a function of (network, ...). Deep copies of the network share this object, which keeps none of them.
    """

    def __init__(self, forward, mode, name, device):
        self.plain, self.mode, self.name = forward, mode, name
        self.compiled = torch.compile(with_own_cache(forward), dynamic=False, **settings(mode, device))
        self.replays = mode in REPLAYING and device.type == "cuda"
        self.calls = 0
        self.met = {}  # shapes -> how often they came
        self.chosen = set()  # those that are compiled for
        self.broken = False

    def __call__(self, net, *args, **kwargs):
        if self.broken or in_full_precision() or not self.takes((args, kwargs)):
            return self.plain(net, *args, **kwargs)
        if hasattr(net, "with_draws"):
            args, kwargs = net.with_draws(*args, **kwargs), {}
        try:
            result = self.compiled(net, *args, **kwargs)
        except torch._dynamo.exc.TorchDynamoException as error:
            print(f"--compile {self.mode}: {self.name} can't be compiled, so it runs as it is ({first_line(error)})")
            self.broken = True
            return self.plain(net, *args, **kwargs)
        # A graph's outputs are overwritten by its next replay, and pools and pages keep images for longer.
        return cloned(result) if self.replays else result

    def takes(self, arguments):
        """Whether tensors of these shapes are compiled for."""
        shapes = tuple(shapes_in(arguments))
        self.calls += 1
        if shapes in self.chosen:
            return True
        count = self.met[shapes] = self.met.get(shapes, 0) + 1
        often = count >= OFTEN and count * OFTEN >= self.calls
        if self.chosen and not (often and len(self.chosen) < MOST_SHAPES):
            return False
        self.chosen.add(shapes)
        return True


def settings(mode, device):
    """What torch.compile is given for a word of --compile."""
    if device.type != "cpu":
        return {"mode": mode}
    # Its own choice of memory layouts gives the gradient of replicated padding one that its code then refuses.
    return {"options": {**torch._inductor.list_mode_options(mode), "layout_optimization": False}}


def with_own_cache(function):
    """The same function, for torch another one: it keeps what it compiles, and counts it, by the code object."""
    own = types.FunctionType(
        function.__code__.replace(),
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    own.__kwdefaults__ = function.__kwdefaults__
    return own


def shapes_in(value):
    """The shapes of all tensors in nested lists, tuples and dicts."""
    if isinstance(value, torch.Tensor):
        yield value.shape
    elif isinstance(value, (list, tuple, dict)):
        for each in value.values() if isinstance(value, dict) else value:
            yield from shapes_in(each)


def cloned(value):
    """The same nested lists, tuples and dicts with copies of the tensors; gradients go through."""
    if isinstance(value, torch.Tensor):
        return value.clone()
    if type(value) in (list, tuple):
        return type(value)(cloned(each) for each in value)
    if type(value) is dict:
        return {name: cloned(each) for name, each in value.items()}
    return value
