"""Support for model files written for the original programs: subclasses of built-in models, and plug-ins on BaseModel.

In the original programs, methods such as ``backward_G`` call ``loss.backward()`` themselves; in the models here they
return the loss, and BaseModel.step() computes the gradients. Both work: while step() computes its loss,
``loss.backward()`` only records the loss, and the step minimises the sum of all recorded and returned losses. A loss
that is a term of another recorded loss counts once. So an override may call backward(), may return the loss, and may
call ``super().backward_G()`` before it adds a term; mixed precision, --accumulate and many processes work in each case.
"""

import contextlib
import functools
import operator
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from util.errors import InputError

_noted: list | None = None  # losses of the running step; None outside a step


class RunFolder(str):
    """A path as a str that supports ``/``: plug-ins join it with os.path.join, ``/`` or ``+``."""

    def __truediv__(self, name: str) -> Path:
        return Path(self) / name


def backward_verb(method: Callable) -> Callable:
    """Decorator of a method that returns a loss, and whose original of the same name calls backward() on it.

    Inside a step the loss is recorded, because an override that calls super() may drop the result. Outside a step, for
    example in the optimize_parameters() of a plug-in, the gradients are computed at once.
    """

    @functools.wraps(method)
    def verb(self, *args, **kwargs):
        if _noted is not None:
            loss = method(self, *args, **kwargs)
            _noted.append(loss)
            return loss
        results = []
        loss_of(lambda: results.append(method(self, *args, **kwargs)) or results[0]).backward()
        return results[0]

    return verb


def loss_of(loss_functions: Callable | list | tuple) -> torch.Tensor:
    """The sum of the losses that the functions return or call backward() on."""
    functions = loss_functions if isinstance(loss_functions, (list, tuple)) else [loss_functions]
    return functools.reduce(operator.add, [_loss_of(function) for function in functions])


def _loss_of(function):
    with _noting_losses() as noted:
        result = function()
    found = {id(loss): loss for loss in [*noted, result] if isinstance(loss, torch.Tensor)}.values()
    losses = [loss for loss in found if loss.requires_grad] or list(found)
    if not losses:
        name = getattr(function, "__qualname__", repr(function))
        raise InputError(f"{name}: it gives no loss; return the loss to minimise, or call backward() on it")
    if len(losses) > 1:
        losses = [loss for loss in losses if not any(_is_term(loss, other) for other in losses)]
    return functools.reduce(operator.add, losses)


@contextlib.contextmanager
def _noting_losses() -> Iterator[list]:
    global _noted
    before, backward = _noted, torch.Tensor.backward
    _noted, torch.Tensor.backward = [], _note  # type: ignore[method-assign]  # restored below
    try:
        yield _noted
    finally:
        _noted, torch.Tensor.backward = before, backward  # type: ignore[method-assign]


def _note(loss, gradient=None, retain_graph=None, create_graph=False, inputs=None):
    """Replaces torch.Tensor.backward in a step. All recorded losses share one backward pass; no graph is retained."""
    if loss.numel() != 1 or gradient is not None or create_graph or inputs is not None:
        raise InputError(
            "backward() in a step of a built-in model takes a scalar loss and no further arguments except "
            "retain_graph; make such a step in an optimize_parameters() of your own"
        )
    _noted.append(loss)


def _is_term(loss, whole):
    """Whether `whole` was computed from `loss`."""
    if loss is whole or loss.grad_fn is None or whole.grad_fn is None:
        return False
    seen, waiting = set(), [whole.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is loss.grad_fn:
            return True
        if node not in seen:
            seen.add(node)
            waiting += [before for before, _ in node.next_functions if before is not None]
    return False


def place_of(optimizer: torch.optim.Optimizer, model: Any) -> str:
    """The index of an optimizer in model.optimizers, as text."""
    if optimizer in model.optimizers:
        return str(model.optimizers.index(optimizer))
    names = [name for name, value in vars(model).items() if value is optimizer]
    raise InputError(
        f"{type(model).__name__}: {names[0] if names else type(optimizer).__name__} is not in self.optimizers: put it "
        "there in the place of the optimizer that it replaces, so that it is scheduled, saved and resumed"
    )


def report_unlisted(model: Any) -> None:
    """Print which optimizers of a model are missing in model.optimizers: they are neither scheduled nor saved."""
    for name, value in vars(model).items():
        if isinstance(value, torch.optim.Optimizer) and value not in model.optimizers:
            print(
                f"{type(model).__name__}: {name} is not in self.optimizers, so its learning rate does not follow "
                "--lr_policy, and its state is neither saved nor resumed"
            )


def translate_by_forward(model: Any, images: torch.Tensor) -> dict[str, torch.Tensor]:
    """The translations of a plug-in without a translate() of its own, by set_input() and forward().

    The visuals without the inputs, whose names begin with "real", as ``real_A``.
    """
    paths = [f"image {number}" for number in range(1, len(images) + 1)]
    model.set_input({"A": images, "B": images, "A_paths": paths, "B_paths": paths})
    with torch.no_grad():
        model.forward()
    names = [name for name in model.visual_names if isinstance(name, str) and not name.startswith("real")]
    made = {name: getattr(model, name, None) for name in names}
    return {name: value for name, value in made.items() if isinstance(value, torch.Tensor)}


def scored_by_name(visual_names: list) -> dict[str, tuple[str, str | None]]:
    """scored_visuals of a plug-in without them: fake_B is the translation of real_A, real_B a real image of B."""
    names = [name for name in visual_names if isinstance(name, str)]
    pairs = {"fake_B": ("real_A", "real_B"), "fake_A": ("real_B", "real_A")}
    return {
        fake: (source, real if real in names else None)
        for fake, (source, real) in pairs.items()
        if fake in names and source in names
    }


class ForOlderPlugins:
    """Methods of BaseModel that only plug-ins call."""

    def initialize(self, opt):
        """Called by the initialize() of models from 2018; does nothing, since __init__ has set the attributes."""

    def _BaseModel__patch_instance_norm_state_dict(self, state_dict, module, keys, i=0):
        """Plug-ins with a load_networks() of their own call ``self.__patch_...`` for every key of a state dict."""
        for name in keys[i:-1]:
            module = getattr(module, name)
        bare = type(module).__name__.startswith("InstanceNorm") and getattr(module, "running_mean", None) is None
        if bare and keys[-1] in ("running_mean", "running_var", "num_batches_tracked"):
            state_dict.pop(".".join(keys))

    @staticmethod
    def dict_grad_hook_factory(add_func=lambda x: x):
        """(make_hook, saved): the gradient hook ``make_hook(name)`` keeps ``add_func(gradient)`` in ``saved[name]``."""
        saved = {}

        def make_hook(name):
            def hook(gradient):
                saved[name] = add_func(gradient)

            return hook

        return make_hook, saved

    def generate_visuals_for_evaluation(self, data, mode):
        return {}
