"""The machine's rate: the convolution that the floor of a step is made of, see workload.py."""

import harness  # noqa: F401 puts the project on the path
import torch
from workload import Shape

from util.numerics.precision import backend_precision


class Convolution:
    """The reference convolution, its rate in multiply-adds per second."""

    WORK = 64 * 64 * 256 * 256 * 9  # of a forward pass, for one image

    def __init__(self, device, dtype=torch.float32, batch=1, layout=torch.contiguous_format, backward=True):
        self.backward = backward
        self.work = self.WORK * batch * (3 if backward else 1)
        self.repeats = 20 if device.startswith("cuda") else 1
        place = {"device": device, "dtype": dtype}
        self.conv = torch.nn.Conv2d(256, 256, 3, padding=1, bias=False, **place).to(memory_format=layout)
        self.x = torch.randn(batch, 256, 64, 64, **place).to(memory_format=layout).requires_grad_(backward)
        self.gradient = torch.randn(batch, 256, 64, 64, **place).to(memory_format=layout)

    def run(self):
        with torch.set_grad_enabled(self.backward), backend_precision("fp32"):
            for _ in range(self.repeats):
                y = self.conv(self.x)
                if self.backward:
                    torch.autograd.grad(y, [self.x, self.conv.weight], self.gradient)

    def rate(self, clock):
        # The first call after another's work finds its memory given back to the system, its caches cold.
        self.run()
        return self.work * self.repeats / clock.seconds(self.run)


def references(device, clock, backward=True):
    """{name: (Convolution, description)}: the rates that floors are made of. The best of the card for bf16."""
    torch.backends.cudnn.benchmark = True
    found = {"float32": (Convolution(device, backward=backward), "float32, batch 1")}
    if device.startswith("cuda"):
        shapes = [(batch, layout) for batch in (1, 8, 32) for layout in (torch.contiguous_format, torch.channels_last)]
        tried = {shape: Convolution(device, torch.bfloat16, *shape, backward) for shape in shapes}
        for convolution in tried.values():
            convolution.run()  # cuDNN chooses its kernels
        rates = {shape: convolution.rate(clock) for shape, convolution in tried.items()}
        batch, layout = max(rates, key=rates.get)
        name = str(layout).removeprefix("torch.")
        found["bf16"] = tried[batch, layout], f"bf16, batch {batch}, {name}, the best of batch 1, 8, 32 and two layouts"
    return found


LAYOUTS = (torch.contiguous_format, torch.channels_last)


def seconds_of_layers(calls, device, clock):
    """Seconds of the convolutions and matrix products of a step, each alone and at its best, one after the other.

    `calls` as in workload.MultiplyAdds. On CUDA in bf16, in the faster of two memory layouts; on a CPU in float32.
    """
    on_gpu = device.startswith("cuda")
    place = {"device": device, "dtype": torch.bfloat16 if on_gpu else torch.float32}
    total = 0.0
    for (function, arguments), number in calls.items():
        layouts = LAYOUTS if on_gpu else LAYOUTS[:1]
        total += number * min(seconds_alone(function, arguments, layout, place, clock) for layout in layouts)
    return total


def seconds_alone(function, arguments, layout, place, clock):
    """Seconds of an operation with random tensors of the given shapes."""
    made = [random_like(value, layout, place) for value in arguments]
    repeats = 10 if place["device"].startswith("cuda") else 1

    def run():
        for _ in range(repeats):
            function(*made)

    run()  # cuDNN chooses its kernel
    return clock.seconds(run) / repeats


def random_like(value, layout, place):
    if not isinstance(value, Shape):
        return list(value) if isinstance(value, tuple) else value
    tensor = torch.randn(value, **place)
    return tensor.to(memory_format=layout) if tensor.dim() == 4 else tensor
