"""Looks at the methods of a subclass of a built-in page: an override that is not called must not go unnoticed."""

import dis
import inspect
import re
from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Any

from models import BUILT_IN
from util.errors import InputError

PAGES = {f"models.{name}_model" for name in BUILT_IN} | {"models.two_way", "models.contrast"}
VERB = re.compile(r"(backward|criterion|compute_\w*loss|calculate_\w*loss)(_?[A-Z]\w*)?|backward_\w+|calculate_\w+")


def check_overrides(model: Any) -> None:
    """Refuse an override that the page can't call; print which verbs and criteria of a subclass nothing uses."""
    own = [kind for kind in type(model).__mro__ if kind.__module__ not in PAGES]
    pages = [kind for kind in type(model).__mro__ if kind.__module__ in PAGES]
    own = [kind for kind in own if pages and issubclass(kind, pages[0])]
    if not own:
        return
    for kind in own:
        for name, method in vars(kind).items():
            called_as = next((vars(page)[name] for page in pages if name in vars(page)), None)
            if isinstance(method, FunctionType) and isinstance(called_as, FunctionType):
                check_arguments(f"{kind.__name__}.{name}()", pages[0].__name__, method, called_as)
    used = set().union(*(loaded_names(kind) for kind in type(model).__mro__))
    mine = {name for kind in own for name in vars(kind)} | set(vars(model))
    for name in sorted(name for name in mine if VERB.fullmatch(name) and name not in used):
        there = sorted(each for page in pages for each in vars(page) if VERB.fullmatch(each))
        print(
            f"{type(model).__name__}: nothing uses {name}. The verbs of {pages[0].__name__} are {', '.join(there)}; "
            "its optimize_parameters() calls them"
        )


def check_arguments(own: str, page: str, method: FunctionType, called_as: FunctionType) -> None:
    """InputError if a method can't be called with the arguments that the page gives to the method it overrides."""
    given = [each for each in inspect.signature(called_as).parameters.values() if each.default is each.empty]
    try:
        inspect.signature(method).bind(*given)
    except TypeError as error:
        arguments = ", ".join(each.name for each in given[1:])
        raise InputError(
            f"{own}: {page} calls it as {called_as.__name__}({arguments}) ({error}); take these arguments, or override "
            "optimize_parameters() and call it there"
        ) from None


def loaded_names(kind: type) -> set[str]:
    """Names of the attributes that the methods of a class read."""
    names = set()
    for value in vars(kind).values():
        function = inspect.unwrap(value) if callable(value) else None
        for code in _codes(getattr(function, "__code__", None)):
            loads = (each for each in dis.get_instructions(code) if each.opname.startswith("LOAD"))
            names |= {str(each.argval) for each in loads}
    return names


def _codes(code: CodeType | None) -> Iterator[CodeType]:
    """A function's code, and that of the functions inside it."""
    if code is not None:
        yield code
        for constant in code.co_consts:
            if isinstance(constant, CodeType):
                yield from _codes(constant)
