"""Name -> class, by file name: ``cut`` in models/ is the class CUTModel in models/cut_model.py."""

import importlib
import pkgutil

from util.errors import InputError, nearest

FLAGS = {"models": "--model", "data": "--dataset_mode"}


def available(package, suffix):
    """Names that have a file <package>/<name>_<suffix>.py, sorted; nothing but the package itself is imported."""
    ending = f"_{suffix}"
    modules = (module.name for module in pkgutil.iter_modules(importlib.import_module(package).__path__))
    return sorted(name.removesuffix(ending) for name in modules if name.endswith(ending) and name != f"base{ending}")


def find_class(package, name, suffix, base):
    """The subclass of `base` in <package>/<name>_<suffix>.py called <name><suffix>, underscores and case aside.

    Where several fit, the last one in the file wins. No such file or class: InputError. An ImportError
    inside the file comes out as it is, since it is the file's own fault, not the name's.
    """
    target = name.replace("_", "").lower() + suffix
    try:
        module = importlib.import_module(f"{package}.{name}_{suffix}") if name.isidentifier() else None
    except ModuleNotFoundError as error:
        if error.name != f"{package}.{name}_{suffix}":
            raise
        module = None
    found = [
        value
        for attribute, value in (vars(module).items() if module else ())
        if attribute.lower() == target and isinstance(value, type) and issubclass(value, base) and value is not base
    ]
    if not found:
        raise InputError(_not_found(package, name, suffix, base, module))
    return found[-1]


def _not_found(package, name, suffix, base, module):
    names = available(package, suffix)
    wanted = "".join(part[:1].upper() + part[1:] for part in name.split("_")) + suffix.capitalize()
    if module is None:
        lacking = f"no file {package}/{name}_{suffix}.py with a class {wanted}({base.__name__})"
    else:
        lacking = f"{package}/{name}_{suffix}.py has no class {wanted}({base.__name__}); case doesn't matter"
    hint = nearest(name, names) if module is None else ""
    return f"{FLAGS[package]} {name}: {lacking}. There are: {', '.join(names)}.{hint}"
