"""Find the class of a model or data set by its name: ``cut`` in models/ is CUTModel in models/cut_model.py."""

import ast
import contextlib
import importlib
import importlib.util
import os
import pkgutil
from typing import Any

from util.errors import InputError, nearest
from util.namespace import for_users

FLAGS = {"models": "--model", "data": "--dataset_mode"}


def with_users_folder(path: list[str], package: str) -> list[str]:
    """The search path of a package: its own folder, then <working directory>/<package> with files of the user.

    Users of an installed program can't add files to it, so they keep models and data sets in their working directory.
    """
    with contextlib.suppress(OSError):  # the working directory may be gone
        users = os.path.join(os.getcwd(), package)
        if os.path.isdir(users) and not any(os.path.samefile(users, own) for own in path):
            return [*path, users]
    return path


def available(package: str, suffix: str) -> list[str]:
    """Names that have a file <package>/<name>_<suffix>.py, sorted. Only the package itself is imported."""
    ending = f"_{suffix}"
    modules = (module.name for module in pkgutil.iter_modules(importlib.import_module(package).__path__))
    return sorted(name.removesuffix(ending) for name in modules if name.endswith(ending) and name != f"base{ending}")


def find_class(package: str, name: str, suffix: str) -> type:
    """The class in <package>/<name>_<suffix>.py whose name is <name><suffix>, ignoring underscores and case.

    It must be a subclass of the package's base (BaseModel, BaseDataset); if several fit, the last in the file is taken.
    InputError if there is no such file or class. An ImportError inside the file is raised unchanged, because the fault
    is in the file and not in the name.
    """
    target = _target(name, suffix)
    try:
        module = importlib.import_module(f"{package}.{name}_{suffix}") if name.isidentifier() else None
    except ModuleNotFoundError as error:
        if error.name != f"{package}.{name}_{suffix}":
            raise
        module = None
    base: Any = _base(package, suffix) if module else None  # an unknown name is refused without importing torch
    found = [
        value
        for attribute, value in (vars(module).items() if module else ())
        if attribute.lower() == target and isinstance(value, type) and issubclass(value, base) and value is not base
    ]
    if not found:
        raise InputError(_not_found(package, name, suffix, module))
    return found[-1]


def takes_flags_from_table(package: str, name: str, suffix: str) -> bool:
    """Whether the class in <package>/<name>_<suffix>.py declares that its flags are those of <package>/flags.py.

    The declaration is the line ``modify_commandline_options = staticmethod(flags.<name>)`` in the body of the class
    (the last class of that name, as in find_class). It is read from the source, because importing the file would import
    torch. For all other classes the caller imports the file and calls modify_commandline_options.
    """
    body = _statements(package, name, suffix)
    classes = [node for node in body if isinstance(node, ast.ClassDef) and node.name.lower() == _target(name, suffix)]
    lines = {ast.unparse(line) for line in classes[-1].body} if classes else set()
    return f"modify_commandline_options = staticmethod(flags.{name})" in lines


def is_alias(package: str, name: str, suffix: str) -> bool:
    """Whether the file <package>/<name>_<suffix>.py only imports the class of another file. It is not imported."""
    body = _statements(package, name, suffix)
    return any(isinstance(node, ast.ImportFrom) for node in body) and not any(
        isinstance(node, (ast.ClassDef, ast.FunctionDef)) for node in body
    )


def _statements(package, name, suffix):
    """The statements of <package>/<name>_<suffix>.py; an empty list if the file is missing or can't be parsed."""
    found = importlib.util.find_spec(f"{package}.{name}_{suffix}")
    if found is None or found.origin is None:
        return []
    try:
        with open(found.origin, "rb") as file:
            return ast.parse(file.read()).body
    except (OSError, SyntaxError, ValueError):  # importing the file reports the fault
        return []


def make(found: type, opt: Any) -> Any:
    """An instance of a model or data set; classes written in 2018 have an initialize(opt) instead of an __init__."""
    opt = for_users(opt)
    instance = found(opt)
    first, fills = (
        next((kind for kind in found.__mro__ if name in vars(kind)), object) for name in ("__init__", "initialize")
    )
    if first.__name__ in ("BaseModel", "BaseDataset") and issubclass(fills, first) and fills is not first:
        instance.initialize(opt)
    return instance


def _target(name, suffix):
    """The lower-case name of the class."""
    return name.replace("_", "").lower() + suffix


def _base(package, suffix):
    return getattr(importlib.import_module(f"{package}.base_{suffix}"), f"Base{suffix.capitalize()}")


def _not_found(package, name, suffix, module):
    names = available(package, suffix)
    wanted = "".join(part[:1].upper() + part[1:] for part in name.split("_")) + suffix.capitalize()
    wanted += f"(Base{suffix.capitalize()})"
    if module is None:
        lacking = f"no file {package}/{name}_{suffix}.py with a class {wanted}"
    else:
        lacking = f"{package}/{name}_{suffix}.py has no class {wanted}; case doesn't matter"
    hint = nearest(name, names) if module is None else ""
    return f"{FLAGS[package]} {name}: {lacking}. There are: {', '.join(names)}.{hint}"
