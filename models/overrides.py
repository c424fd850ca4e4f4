"""Checks a user's subclass of a built-in model: an override that nothing calls is reported, not silently ignored."""

import dis
import inspect
import re
from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Any

from models import BUILT_IN
from util.errors import InputError

MODULES = {f"models.{name}_model" for name in BUILT_IN} | {"models.two_way", "models.contrast"}
LOSS = re.compile(r"(backward|criterion|compute_\w*loss|calculate_\w*loss)(_?[A-Z]\w*)?|backward_\w+|calculate_\w+")


def check_overrides(model: Any) -> None:
    """Refuse an override with other arguments than the built-in method; print the losses that nothing calls."""
    own = [kind for kind in type(model).__mro__ if kind.__module__ not in MODULES]
    built_in = [kind for kind in type(model).__mro__ if kind.__module__ in MODULES]
    own = [kind for kind in own if built_in and issubclass(kind, built_in[0])]
    if not own:
        return
    for kind in own:
        for name, method in vars(kind).items():
            called_as = next((vars(parent)[name] for parent in built_in if name in vars(parent)), None)
            if isinstance(method, FunctionType) and isinstance(called_as, FunctionType):
                check_arguments(f"{kind.__name__}.{name}()", built_in[0].__name__, method, called_as)
    used = set().union(*(loaded_names(kind) for kind in type(model).__mro__))
    defined = {name for kind in own for name in vars(kind)} | set(vars(model))
    for name in sorted(name for name in defined if LOSS.fullmatch(name) and name not in used):
        offered = sorted(each for parent in built_in for each in vars(parent) if LOSS.fullmatch(each))
        print(
            f"{type(model).__name__}: nothing uses {name}. The optimize_parameters() of {built_in[0].__name__} calls "
            f"{', '.join(offered)}"
        )


def check_arguments(own: str, parent: str, method: FunctionType, called_as: FunctionType) -> None:
    """InputError if a method does not take the arguments that the built-in model passes to it."""
    given = [each for each in inspect.signature(called_as).parameters.values() if each.default is each.empty]
    try:
        inspect.signature(method).bind(*given)
    except TypeError as error:
        arguments = ", ".join(each.name for each in given[1:])
        raise InputError(
            f"{own}: {parent} calls it as {called_as.__name__}({arguments}) ({error}); take these arguments, or "
            "override optimize_parameters() and call it there"
        ) from None


def loaded_names(kind: type) -> set[str]:
    """The names that the methods of a class load."""
    names = set()
    for value in vars(kind).values():
        function = inspect.unwrap(value) if callable(value) else None
        for code in _codes(getattr(function, "__code__", None)):
            loads = (each for each in dis.get_instructions(code) if each.opname.startswith("LOAD"))
            names |= {str(each.argval) for each in loads}
    return names


def _codes(code: CodeType | None) -> Iterator[CodeType]:
    """The code of a function and of the functions inside it."""
    if code is not None:
        yield code
        for constant in code.co_consts:
            if isinstance(constant, CodeType):
                yield from _codes(constant)
