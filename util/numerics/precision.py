"""--precision: in which numbers the networks calculate. Models don't see it: between networks everything is float32.

fp32    float32, and on CUDA too: no TF32
tf32    float32, but CUDA may round what it multiplies to TF32: 10 bits behind the point instead of 23
bf16    each network's forward is an island under torch.autocast, in bfloat16: 7 bits, the range of float32
fp16    the same in float16: 10 bits, a small range; gradients get into it by a scale on the loss
"""

import contextlib
import types
import warnings

import torch

from util.errors import InputError

HALVES = {"bf16": torch.bfloat16, "fp16": torch.float16}

_islands_are_open = True


class Precision:
    """Binds the networks' islands, and keeps the scales of the losses; without fp16 a loss is left as it is.

    A phase names the optimizers that are stepped together. Each has a scale of its own, found as training goes on:
    halved after a step whose gradients overflowed, doubled after 2000 in a row that did not.
    """

    def __init__(self, precision, device):
        self.dtype = HALVES.get(precision)
        self.kind = torch.device(device).type
        self.scales = precision == "fp16"
        self._scalers = {}
        self._checked = set()  # phases whose gradients have been unscaled since the last update

    def prepare(self, net):
        """Make the forward of a network an island; before it is compiled. Again is as good as once.

        Small networks whose values are small, too, say that they stay as they are by an attribute `keeps_float32`.
        """
        if self.dtype is not None and not getattr(net, "keeps_float32", False):
            net.forward = types.MethodType(island(self.kind, self.dtype), net)

    def scale(self, phase, loss):
        """What backward() is called on."""
        return self._scaler(phase).scale(loss) if self.scales else loss

    def unscale(self, phase, optimizers):
        """The gradients without the scale; after all of backward() and the average over processes, once a step."""
        for optimizer in optimizers if self.scales else ():
            self._scaler(phase).unscale_(optimizer)
            if any(p.grad is not None for group in optimizer.param_groups for p in group["params"]):
                self._checked.add(phase)

    def update(self, phase, loss, bad):
        """After the step was made (`bad` is 0.0) or left out (1.0): what of it is to be reported, 0.0 or 1.0.

        An overflow that lowers the scale is no fault. A loss that is not finite is one, and so are gradients that
        overflow though the scale is below 1 already. Tensors in and out; nothing waits for the device.
        """
        if phase not in self._checked:
            return bad
        scaler, one = self._scaler(phase), torch.ones((), device=loss.device)
        before = scaler.scale(one)
        scaler.update()
        self._checked.discard(phase)
        excused = (scaler.scale(one) < before) & (before >= 1) & loss.detach().isfinite()
        return torch.where(excused, torch.zeros_like(bad), bad)

    def state_dict(self):
        return {phase: scaler.state_dict() for phase, scaler in self._scalers.items()}

    def load_state_dict(self, state):
        """A run that has come from another precision begins with fresh scales."""
        for phase, own in state.items() if self.scales else ():
            self._scaler(phase).load_state_dict(own)

    def _scaler(self, phase):
        if phase not in self._scalers:
            self._scalers[phase] = torch.amp.GradScaler(self.kind)
        return self._scalers[phase]


def island(kind, dtype):
    """A forward to be bound to a network: its class's own, under autocast.

    It takes the network as an argument and keeps none, so that a deepcopy of the network uses the copy's weights.
    """

    def forward(self, *args, **kwargs):
        if not _islands_are_open:
            return type(self).forward(self, *args, **kwargs)
        with torch.autocast(kind, dtype):
            result = type(self).forward(self, *args, **kwargs)
        return at_least_float32(result, into_lists=not getattr(self, "hands_on_features", False))

    return forward


def at_least_float32(result, into_lists=True):
    """The tensors in what a network returns, as float32 where they are half of it; float64 stays.

    Lists stay as they are for a network with the attribute `hands_on_features`: what it has in them is large, and
    read by other networks, which would only go back to half precision.
    """
    if isinstance(result, torch.Tensor):
        return result.float() if result.dtype in HALVES.values() else result
    if type(result) is tuple or (type(result) is list and into_lists):
        return type(result)(at_least_float32(each, into_lists) for each in result)
    if type(result) is dict:
        return {name: at_least_float32(each, into_lists) for name, each in result.items()}
    return result


@contextlib.contextmanager
def full_precision():
    """In here networks run as they are written, without autocast and uncompiled.

    For gradient penalties: they differentiate gradients, which is too coarse in half precision, and which compiled
    networks can't do.
    """
    global _islands_are_open
    before, _islands_are_open = _islands_are_open, False
    try:
        yield
    finally:
        _islands_are_open = before


@contextlib.contextmanager
def backend_tuning(opt):
    """cuDNN's search for its fastest kernels while the block runs: worth it if all images have one size.

    ``--preprocess scale_width`` makes a new size for every image, and ``--deterministic`` excludes the search.
    """
    cudnn, exact = torch.backends.cudnn, getattr(opt, "deterministic", False)  # a flag of training
    before, cudnn.benchmark = cudnn.benchmark, opt.preprocess != "scale_width" and not exact
    try:
        yield
    finally:
        cudnn.benchmark = before


def in_full_precision():
    return not _islands_are_open


@contextlib.contextmanager
def backend_precision(precision):
    """TF32 of CUDA's matrix products and convolutions while the block runs: off for fp32, on for the others."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    _allow_tf32(*[precision != "fp32"] * 2)
    try:
        yield
    finally:
        _allow_tf32(*before)


def _allow_tf32(matmul, cudnn):
    with warnings.catch_warnings():
        # Torch has newer switches, but with them the older ones raise errors, which its own compiler still reads.
        warnings.simplefilter("ignore")
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = matmul, cudnn


def settle(word, device):
    """The word of --precision for this device, chosen where none was given; what is odd about it is said."""
    if word is None:
        return "tf32" if device.type == "cuda" else "fp32"
    if word == "tf32" and device.type != "cuda":
        print(f"--precision tf32: only CUDA devices have it; on {device} it is float32")
    if word in HALVES and not torch.amp.is_autocast_available(device.type):
        raise InputError(f"--precision {word}: this PyTorch has none for {device}; use --precision fp32")
    if word == "bf16" and device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise InputError(f"--precision bf16: {torch.cuda.get_device_name(device)} has none; use --precision fp16")
    if word == "fp16" and device.type == "cpu":
        print("--precision fp16: a CPU is slow at it; use bf16 or fp32, unless this is a trial")
    return word
