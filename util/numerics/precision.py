"""--precision: the number format in which the networks compute.

fp32    float32, on CUDA without TF32
tf32    float32, but CUDA may round the factors of products to TF32: 10 bits of mantissa instead of 23
bf16    the forward pass of each network under torch.autocast, in bfloat16: 7 bits of mantissa, the range of float32
fp16    the same in float16: 10 bits of mantissa, a small range; loss scaling keeps gradients inside it

Mixed precision ends with each network's forward pass: outputs are float32 again, so models and losses compute in
float32.
"""

import argparse
import contextlib
import functools
import types
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import nn

from util.errors import InputError

HALVES = {"bf16": torch.bfloat16, "fp16": torch.float16}

_in_full_precision = False


class Precision:
    """Runs networks under autocast, and holds the loss scales of fp16; with other formats a loss is not scaled.

    `phase` is the name of a group of optimizers that are stepped together. Each phase has its own loss scale, which
    halves after a step whose gradients overflowed and doubles after 2000 steps in a row without an overflow.
    """

    def __init__(self, precision: str, device: torch.device | str):
        self.dtype = HALVES.get(precision)
        self.kind = torch.device(device).type
        self.scales = precision == "fp16"
        self._scalers: dict[str, torch.amp.GradScaler] = {}
        self._checked: set[str] = set()  # phases whose gradients have been unscaled since the last update

    def use_autocast(self, net: nn.Module) -> None:
        """Run the forward pass of a network under autocast in bf16 or fp16. Call this before compiling.

        A second call changes nothing. A network with the attribute `keeps_float32` = True stays in float32.
        """
        if self.dtype is not None and not getattr(net, "keeps_float32", False):
            net.forward = types.MethodType(under_autocast(self.kind, self.dtype), net)

    def scale(self, phase: str, loss: torch.Tensor) -> torch.Tensor:
        """The loss to call backward() on."""
        return self._scaler(phase).scale(loss) if self.scales else loss

    def unscale(self, phase: str, optimizers: Sequence[torch.optim.Optimizer]) -> None:
        """Divide the gradients by the scale, once per step, after all backward passes and the average over ranks."""
        for optimizer in optimizers if self.scales else ():
            self._scaler(phase).unscale_(optimizer)
            if any(p.grad is not None for group in optimizer.param_groups for p in group["params"]):
                self._checked.add(phase)

    def update(self, phase: str, loss: torch.Tensor, bad: torch.Tensor) -> torch.Tensor:
        """Adapt the scale after a step was made (`bad` is 0.0) or skipped (1.0); returns 1.0 for a step to report.

        An overflow that lowers the scale is normal and not reported. A loss that is not finite is reported, and so are
        gradients that overflow although the scale is below 1. The host does not wait for the device.
        """
        if phase not in self._checked:
            return bad
        scaler, unit = self._scaler(phase), torch.ones((), device=loss.device)
        before = scaler.scale(unit)
        scaler.update()
        self._checked.discard(phase)
        expected = (scaler.scale(unit) < before) & (before >= 1) & loss.detach().isfinite()
        return torch.where(expected, torch.zeros_like(bad), bad)

    def state_dict(self) -> dict[str, dict]:
        return {phase: scaler.state_dict() for phase, scaler in self._scalers.items()}

    def load_state_dict(self, state: dict[str, dict]) -> None:
        """Continue with these scales in fp16; a state of another precision has none, and the scales start anew."""
        for phase, own in state.items() if self.scales else ():
            self._scaler(phase).load_state_dict(own)

    def tensors(self) -> list[torch.Tensor]:
        """The tensors that update() changes in place."""
        found = [(scaler._scale, scaler._growth_tracker) for scaler in self._scalers.values()]
        return [tensor for pair in found for tensor in pair if tensor is not None]

    def _scaler(self, phase: str) -> torch.amp.GradScaler:
        if phase not in self._scalers:
            self._scalers[phase] = torch.amp.GradScaler(self.kind)
        return self._scalers[phase]


@functools.cache  # one function for all networks, which --compile blocks compiles once for a class
def under_autocast(kind: str, dtype: torch.dtype) -> Callable:
    """A function to be bound to a network as its forward(): the forward() of its class under autocast.

    The network is an argument of the function, so a deepcopy of the network uses the weights of the copy.
    """

    def forward(self, *args, **kwargs):
        if _in_full_precision:
            return type(self).forward(self, *args, **kwargs)
        with torch.autocast(kind, dtype):
            result = type(self).forward(self, *args, **kwargs)
        return at_least_float32(result, into_lists=not getattr(self, "returns_half_features", False))

    return forward


def at_least_float32(result, into_lists: bool = True):
    """The output of a network with its half-precision tensors converted to float32.

    With `into_lists` False, tensors in lists are not converted. This is for networks with the attribute
    `returns_half_features`: their lists hold large feature maps, of which a projection head reads a few vectors.
    """
    if isinstance(result, torch.Tensor):
        return result.float() if result.dtype in HALVES.values() else result
    if type(result) is tuple or (type(result) is list and into_lists):
        return type(result)(at_least_float32(each, into_lists) for each in result)
    if type(result) is dict:
        return {name: at_least_float32(each, into_lists) for name, each in result.items()}
    return result


@contextlib.contextmanager
def full_precision() -> Iterator[None]:
    """While the block runs, networks compute without autocast and uncompiled.

    For gradient penalties: the gradient of a gradient is too coarse in half precision, and torch.compile can't
    compute it.
    """
    global _in_full_precision
    before, _in_full_precision = _in_full_precision, True
    try:
        yield
    finally:
        _in_full_precision = before


def in_full_precision() -> bool:
    return _in_full_precision


# --preprocess values that give the networks images of several sizes.
SIZES_DIFFER = ("none", "scale_width", "scale_shortside")


@contextlib.contextmanager
def backend_tuning(opt: argparse.Namespace) -> Iterator[None]:
    """While the block runs, cuDNN searches its fastest kernels, if all images have one size.

    The search runs for each new size, so it is off if sizes differ. ``--deterministic`` excludes it.
    """
    cudnn, exact = torch.backends.cudnn, getattr(opt, "deterministic", False)  # a flag of training
    before, cudnn.benchmark = cudnn.benchmark, opt.preprocess not in SIZES_DIFFER and not exact
    try:
        yield
    finally:
        cudnn.benchmark = before


@contextlib.contextmanager
def backend_precision(precision: str) -> Iterator[None]:
    """While the block runs, CUDA's matrix products and convolutions use TF32, except with fp32.

    torch has older and newer switches for this, and reading an older switch raises an error while a newer one
    contradicts it. So both are set, and only the newer ones are read.
    """
    cudnn: Any = torch.backends.cudnn
    switches = (cudnn, torch.backends.cuda.matmul, cudnn.conv, cudnn.rnn)
    before, older = [switch.fp32_precision for switch in switches], _older_switches()
    wanted = precision != "fp32"
    _set_older_switches(wanted, wanted)
    for switch in switches:
        switch.fp32_precision = "tf32" if wanted else "ieee"
    try:
        yield
    finally:
        if older is not None:
            _set_older_switches(*older)
        for switch, word in zip(switches, before):
            switch.fp32_precision = word


def _older_switches() -> tuple[bool, bool] | None:
    """(for matrix products, for cuDNN); None if the older switches can't express the setting of the newer ones."""
    try:
        return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    except RuntimeError:
        return None


def _set_older_switches(matmul: bool, cudnn: bool) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch deprecates the older switches, but its own compiler reads them
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = matmul, cudnn


def resolve(word: str | None, device: torch.device) -> str:
    """The value of --precision for this device; None becomes the default. Prints a note if the value is of no use."""
    if word is None:
        return "tf32" if device.type == "cuda" else "fp32"
    if word == "tf32" and device.type != "cuda":
        print(f"--precision tf32: only CUDA devices support it; {device} computes in float32")
    if word in HALVES and not torch.amp.is_autocast_available(device.type):
        raise InputError(f"--precision {word}: this PyTorch does not support it on {device}; use --precision fp32")
    if word == "bf16" and device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise InputError(
            f"--precision bf16: {torch.cuda.get_device_name(device)} does not support it; use --precision fp16"
        )
    if word == "fp16" and device.type == "cpu":
        print("--precision fp16: slow on a CPU; --precision bf16 and fp32 are faster")
    return word
