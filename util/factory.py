"""Name -> class, by file name: ``cut`` in models/ is the class CUTModel in models/cut_model.py."""

import importlib
import importlib.util
import os
import pkgutil

from util.errors import InputError, nearest

FLAGS = {"models": "--model", "data": "--dataset_mode"}


def available(package, suffix):
    """Names that have a file <package>/<name>_<suffix>.py, sorted; nothing but the package itself is imported."""
    ending = f"_{suffix}"
    modules = (module.name for module in pkgutil.iter_modules(importlib.import_module(package).__path__))
    return sorted(name.removesuffix(ending) for name in modules if name.endswith(ending) and name != f"base{ending}")


def find_class(package, name, suffix):
    """The class in <package>/<name>_<suffix>.py called <name><suffix>, underscores and case aside.

    A subclass of the package's base (BaseModel, BaseDataset); where several fit, the last one in the file wins. No such
    file or class: InputError. An ImportError inside the file comes out as it is, since it is the file's own fault,
    not the name's.
    """
    target = name.replace("_", "").lower() + suffix
    try:
        module = importlib.import_module(f"{package}.{name}_{suffix}") if name.isidentifier() else None
    except ModuleNotFoundError as error:
        if error.name != f"{package}.{name}_{suffix}":
            raise
        module = None
    base = _base(package, suffix) if module else None  # a name that leads nowhere is refused without torch
    found = [
        value
        for attribute, value in (vars(module).items() if module else ())
        if attribute.lower() == target and isinstance(value, type) and issubclass(value, base) and value is not base
    ]
    if not found:
        raise InputError(_not_found(package, name, suffix, module))
    return found[-1]


def find_options(package, name, suffix):
    """The module <package>/<name>_options.py, which spares importing the page and with it torch, or None.

    It stands in for the page that takes its flags from it: the one in the same folder, unless that one defines flags
    itself. So a page that somebody has rewritten, or put before ours in the package's path, is asked itself.
    """
    page, options = (importlib.util.find_spec(f"{package}.{name}_{ending}") for ending in (suffix, "options"))
    if not page or not options or os.path.dirname(page.origin) != os.path.dirname(options.origin):
        return None
    return None if _defines_flags(page.origin) else importlib.import_module(options.name)


def _defines_flags(page):
    """Whether that file defines the function itself; one that can't be read counts as if, so that it is imported."""
    try:
        with open(page, encoding="utf-8", errors="replace") as file:
            return "def modify_commandline_options" in file.read()
    except OSError:
        return True


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
