"""A training step on CUDA tensors without a GPU: operations are dispatched and counted, nothing is computed.

The tensors are fakes (torch's FakeTensorMode): shape, dtype and layout of a CUDA tensor, without memory. In Python,
``device`` and ``is_cuda`` are those of a CUDA tensor, so the step runs its code paths for CUDA. torch's autograd
engine, which would request streams of the driver, gets the device "cpu"; autocast, which casts only tensors on its own
device, gets "cuda".

launches.py counts the operations, memory.py the bytes. HostRead is raised if the host would wait for the device, or if
a copy would not be asynchronous.
"""

import contextlib
from unittest import mock

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._pytree import tree_iter

DEVICE = torch.device("cuda", 0)


class HostRead(AssertionError):
    """The step makes the host wait for the device."""


def on_device_in_backward(named):
    """Keywords of an operation. Those of a backward pass are made with the device that autograd was told."""
    in_backward = torch._C._current_graph_task_id() != -1
    return {**named, "device": DEVICE} if in_backward and named.get("device") == torch.device("cpu") else named


def _dispatch_for_the_engine(self, function, types, arguments=(), named=None):
    global _depth
    named = on_device_in_backward(named or {})
    if function is torch.ops.prim.device.default:
        result = _dispatch(self, function, types, arguments, named)
        return torch.device("cpu") if result.type == "cuda" and not asked_by_autocast(arguments[0]) else result
    _depth += 1
    try:
        result = _dispatch(self, function, types, arguments, named)
    finally:
        _depth -= 1
    _asked_by_autograd.clear()
    if records(function, arguments, named):
        _asked_by_autograd.update(id(each) for each in tree_iter(result) if isinstance(each, torch.Tensor))
    return result


_dispatch = FakeTensorMode.dispatch
_asked_by_autograd: set[int] = set()  # ids of the results of the last operation, if autograd records it
_depth = 0  # of dispatches: in some operations others are dispatched
_autocasts: list[bool] = []  # of the entered contexts of autocast: whether they are enabled for the device


def records(function, arguments, named):
    """Whether autograd records the operation."""
    if not torch.is_grad_enabled() or function._schema.name == "aten::detach":
        return False
    return any(isinstance(each, torch.Tensor) and each.requires_grad for each in tree_iter((arguments, named)))


def asked_by_autocast(tensor):
    """Whether it is autocast that asks for the device of a tensor: of an argument of an operation that it casts.

    While such an operation runs, the key of autocast is excluded from dispatch, and autograd asks as well: for the
    result, before that requires gradients.
    """
    excluded = torch._C._dispatch_tls_is_dispatch_key_excluded(torch._C.DispatchKey.AutocastCUDA)
    asked_for_result = id(tensor) in _asked_by_autograd and not tensor.requires_grad
    return _depth == 0 and bool(_autocasts) and _autocasts[-1] and excluded and not asked_for_result


class _Autocast(torch.autocast):
    """torch.autocast, whose state asked_by_autocast() needs."""

    def __enter__(self):
        outer = bool(_autocasts) and _autocasts[-1]
        _autocasts.append(self._enabled if self.device == "cuda" else outer)
        return super().__enter__()

    def __exit__(self, *error):
        _autocasts.pop()
        return super().__exit__(*error)


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
    """In this context tensors on DEVICE are fakes, and calls of the driver are replaced."""
    answers = {
        **{"is_available": True, "current_device": 0, "is_initialized": False, "_lazy_init": None},
        **{"is_current_stream_capturing": False, "get_device_capability": (9, 0), "is_bf16_supported": True},
    }
    with contextlib.ExitStack() as stack:
        for name, answer in answers.items():
            stack.enter_context(mock.patch.object(torch.cuda, name, lambda *_, answer=answer, **__: answer))
        # Without values, an optimizer that counts its steps on the host cannot read the count.
        stack.enter_context(mock.patch("torch.optim.adam._get_value", lambda count: 1.0))
        # Optimizers ask whether a graph is being captured on the current accelerator.
        stack.enter_context(mock.patch("torch.accelerator.current_accelerator", lambda *_, **__: None))
        for name in ("torch.autocast", "torch.amp.autocast"):  # the latter by gradient checkpointing
            stack.enter_context(mock.patch(name, _Autocast))
        stack.enter_context(mock.patch.object(FakeTensorMode, "dispatch", _dispatch_for_the_engine))
        stack.enter_context(mock.patch.object(FakeTensor, "device", property(_device), create=True))
        is_cuda = property(lambda tensor: _device(tensor).type == "cuda")
        stack.enter_context(mock.patch.object(FakeTensor, "is_cuda", is_cuda, create=True))
        stack.enter_context(mock.patch.object(FakeTensor, "to", _to, create=True))
        stack.enter_context(mock.patch.object(FakeTensor, "pin_memory", lambda tensor: tensor, create=True))
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
            made[id(tensor)] = fake_like(tensor)
        return made[id(tensor)]

    for module in modules_in(vars(model).values()):
        for tensors in (module._parameters, module._buffers):
            tensors.update({name: fake(tensor) for name, tensor in tensors.items() if tensor is not None})
    for optimizer in model.optimizers:
        for group in optimizer.param_groups:
            group["params"] = [made[id(parameter)] for parameter in group["params"]]
    model.recorded = [recorded(tensor) for tensor in made.values() if tensor.requires_grad]
    model.device = model.opt.device = DEVICE
    model._precision.kind = DEVICE.type
    for net in model.networks_by_name().values():  # the steps of fit_out whose form depends on the device
        model._precision.use_autocast(net)
        if hasattr(net, "generator"):
            net.generator = None  # of random numbers: there is none for this device
        if model.opt.deterministic:
            fit_out.pad_deterministically(net)


def fake_like(tensor):
    """A fake on DEVICE for a tensor on the CPU: a parameter for a parameter."""
    empty = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device=DEVICE)
    return nn.Parameter(empty, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else empty


def recorded(parameter):
    """Let autograd record a parameter now: what is returned has to be kept.

    Autograd asks for the device of a parameter when it first records it, and autocast whenever it casts it, which
    asked_by_autocast() could not tell apart.
    """
    return parameter.expand_as(parameter).grad_fn.next_functions[0][0]


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
