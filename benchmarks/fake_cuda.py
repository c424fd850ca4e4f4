"""A training step on CUDA tensors without a GPU: operations are dispatched and counted, nothing is computed.

The tensors are fakes (torch's FakeTensorMode): shape, dtype and layout of a CUDA tensor, without memory. Python code
meets ``device`` and ``is_cuda`` of a CUDA tensor, so the step takes its paths for CUDA. torch's autograd engine, which
would ask the driver for streams, gets the answer "cpu".

Mixed precision is not counted: autocast, too, is told "cpu", and casts nothing. Its loss scales run.

HostRead is raised where the host would wait for the device, or where a copy would not be asynchronous.
"""

import collections
import contextlib
from unittest import mock

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

DEVICE = torch.device("cuda", 0)

# Operations that launch nothing on the device, besides views.
NO_LAUNCH = (
    "prim::",
    "profiler::",
    "aten::empty",
    "aten::new_empty",
    "aten::detach",
    "aten::lift",
    "aten::is_same_size",
)
VIEWS = ("aten::_unsafe_view", "aten::_reshape_alias")
READS = ("aten::_local_scalar_dense", "aten::equal", "aten::nonzero", "aten::masked_select", "aten::is_nonzero")


class HostRead(AssertionError):
    """The step makes the host wait for the device."""


class Launches(TorchDispatchMode):
    """Counts the operations that launch work on the device while it is entered: ``counts`` {operation: number}."""

    def __init__(self):
        super().__init__()
        self.counts = collections.Counter()

    def __torch_dispatch__(self, function, types, arguments=(), named=None):
        name, named = function._schema.name, named or {}
        if name.startswith(READS) or has_mask(name, arguments):
            raise HostRead(f"{name}: its result depends on numbers on the device")
        copy = name in ("aten::_to_copy", "aten::copy_")
        if copy:
            check_copy(name, arguments, named)
        if not (copy and changes_nothing(name, arguments, named)) and launches(function, arguments, named):
            self.counts[name.removeprefix("aten::")] += 1
        return function(*arguments, **named)

    @property
    def total(self):
        return sum(self.counts.values())


def launches(function, arguments, named):
    name = function._schema.name
    if name.startswith(NO_LAUNCH) or name in VIEWS or function.is_view:
        return False
    found = [*arguments, *named.values()]
    found += [each for value in found if isinstance(value, (list, tuple)) for each in value]
    on_device = any(isinstance(value, torch.Tensor) and value.is_cuda for value in found)
    return on_device or any(getattr(value, "type", None) == "cuda" for value in found)


def has_mask(name, arguments):
    """Whether a tensor is indexed by truth values: the shape of the result is known to the device alone."""
    if not name.startswith("aten::index"):
        return False
    indices = [index for value in arguments[1:] if isinstance(value, (list, tuple)) for index in value]
    return any(isinstance(index, torch.Tensor) and index.dtype in (torch.bool, torch.uint8) for index in indices)


def source_and_target(name, arguments, named):
    """(device of the source, device of the target) of a copy."""
    if name == "aten::copy_":
        return arguments[1].device, arguments[0].device
    return arguments[0].device, torch.device(named.get("device") or arguments[0].device)


def check_copy(name, arguments, named):
    """HostRead for a copy from the device, and for one to the device that the host waits for. Scalars are exempt."""
    source, target = source_and_target(name, arguments, named)
    if source.type == "cuda" != target.type:
        raise HostRead(f"{name}: a copy from the device to the {target.type}")
    waits = not named.get("non_blocking", arguments[2] if len(arguments) > 2 else False)
    if target.type == "cuda" != source.type and waits and arguments[-1 if name == "aten::copy_" else 0].dim():
        raise HostRead(f"{name}: a copy to the device that the host waits for (non_blocking=False)")


def changes_nothing(name, arguments, named):
    """A conversion to the tensor's own device and dtype; on a real CUDA tensor it would not be dispatched."""
    source, target = source_and_target(name, arguments, named)
    own = arguments[0]
    return name == "aten::_to_copy" and source == target and named.get("dtype") in (None, own.dtype)


def _dispatch_for_the_engine(self, function, types, arguments=(), named=None):
    named = named or {}
    if named.get("device") == torch.device("cpu") and torch._C._current_graph_task_id() != -1:
        named = {**named, "device": DEVICE}  # zeros that the engine makes like a gradient, whose device it was told
    result = _dispatch(self, function, types, arguments, named)
    if function is torch.ops.prim.device.default and result.type == "cuda":
        return torch.device("cpu")
    return result


_dispatch = FakeTensorMode.dispatch


def _device(tensor):
    return torch.device("meta") if tensor.fake_mode.in_kernel_invocation else tensor.fake_device


def _to(tensor, *arguments, **named):
    """Tensor.to() of a fake. torch itself takes the tensor for one on the CPU, and would not dispatch this copy."""
    if arguments and isinstance(arguments[0], torch.Tensor):
        return tensor.to(arguments[0].device, arguments[0].dtype, *arguments[1:], **named)
    target = torch._C._nn._parse_to(*arguments, **{key: named[key] for key in named if key != "copy"})[0]
    if tensor.is_cuda and target is not None and target.type == "cpu":
        raise HostRead("Tensor.to: a copy from the device to the cpu")
    return torch.Tensor.to(tensor, *arguments, **named)


def _by_device(tensors, with_indices=False):
    groups = _by_what_torch_takes_for_the_device(tensors, with_indices)
    return {(found[0][0][0].device, dtype): (found, indices) for (_, dtype), (found, indices) in groups.items()}


_by_what_torch_takes_for_the_device = torch.optim.Optimizer._group_tensors_by_device_and_dtype


@contextlib.contextmanager
def fake_cuda():
    """While the block runs, tensors made on DEVICE are fakes, and the questions to the driver have answers."""
    answers = {
        **{"is_available": True, "current_device": 0, "is_initialized": False, "_lazy_init": None},
        **{"is_current_stream_capturing": False, "get_device_capability": (9, 0), "is_bf16_supported": True},
    }
    with contextlib.ExitStack() as stack:
        for name, answer in answers.items():
            stack.enter_context(mock.patch.object(torch.cuda, name, lambda *_, answer=answer, **__: answer))
        # Optimizers ask whether a graph is being captured on the current accelerator.
        stack.enter_context(mock.patch("torch.accelerator.current_accelerator", lambda *_, **__: None))
        stack.enter_context(mock.patch.object(FakeTensorMode, "dispatch", _dispatch_for_the_engine))
        stack.enter_context(mock.patch.object(FakeTensor, "device", property(_device), create=True))
        is_cuda = property(lambda tensor: _device(tensor).type == "cuda")
        stack.enter_context(mock.patch.object(FakeTensor, "is_cuda", is_cuda, create=True))
        stack.enter_context(mock.patch.object(FakeTensor, "to", _to, create=True))
        stack.enter_context(mock.patch.object(FakeTensor, "cpu", lambda tensor: tensor.to("cpu"), create=True))
        groups = mock.patch.object(
            torch.optim.Optimizer, "_group_tensors_by_device_and_dtype", staticmethod(_by_device)
        )
        stack.enter_context(groups)
        stack.enter_context(FakeTensorMode())
        yield


def move(model):
    """Replace the tensors of a model that was built on the CPU by fakes on DEVICE: networks, losses, optimizers."""
    from models import fit_out

    made = {}

    def fake(tensor):
        if id(tensor) not in made:
            empty = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device=DEVICE)
            is_parameter = isinstance(tensor, nn.Parameter)
            made[id(tensor)] = nn.Parameter(empty, tensor.requires_grad) if is_parameter else empty
        return made[id(tensor)]

    for module in modules_in(vars(model).values()):
        for tensors in (module._parameters, module._buffers):
            tensors.update({name: fake(tensor) for name, tensor in tensors.items() if tensor is not None})
    for optimizer in model.optimizers:
        for group in optimizer.param_groups:
            group["params"] = [made[id(parameter)] for parameter in group["params"]]
    model.device = model.opt.device = DEVICE
    model._precision.kind = DEVICE.type
    for net in model.networks_by_name().values():  # the steps of fit_out whose form depends on the device
        model._precision.use_autocast(net)
        if hasattr(net, "generator"):
            net.generator = None  # of random numbers: there is none for this device
        if model.opt.deterministic:
            fit_out.pad_deterministically(net)


def modules_in(values):
    """All modules in values and in lists of values, with the modules inside them."""
    for value in values:
        if isinstance(value, nn.Module):
            yield from value.modules()
        elif isinstance(value, (list, tuple)):
            yield from modules_in(value)


def batch_like(batch):
    """The batch with fakes for its tensors: images on DEVICE, others where a loader leaves them."""
    return {
        name: torch.empty(value.shape, dtype=value.dtype, device=DEVICE if value.dim() > 2 else "cpu")
        if isinstance(value, torch.Tensor)
        else value
        for name, value in batch.items()
    }
