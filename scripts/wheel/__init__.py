"""Metamer, installed: a trained run as a function, ``from metamer import load``; ``metamer train`` is the program.

The checkout's packages data, models, options and util lie in the folder program/ of this package. No other program
sees them; a process that imports metamer can import them under their own names.
"""

from __future__ import annotations

import importlib.machinery
import os
import sys
from typing import Any

PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "program")
OURS = ("data", "models", "options", "util")

__all__ = ["Translator", "load"]


class _Finder:
    """Finds the packages of the checkout in program/, before folders of the same names elsewhere."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        return importlib.machinery.PathFinder.find_spec(name, [PROGRAM]) if name in OURS else None


def _foreign() -> list[str]:
    """Modules of other programs that have a name of ours in this process."""
    loaded = [name for name in OURS if name in sys.modules]
    return [name for name in loaded if not str(getattr(sys.modules[name], "__file__", "")).startswith(PROGRAM)]


if foreign := _foreign():
    raise ImportError(
        f"metamer has modules named {', '.join(OURS)}, and this process has imported {', '.join(foreign)} from "
        "elsewhere: import metamer first, or run the command metamer in a process of its own"
    )
sys.meta_path.insert(0, _Finder)  # type: ignore[arg-type]


def load(run: str | os.PathLike, epoch: str | int = "latest", direction: str | None = None, device: str = "auto"):
    """The trained run in a folder as a function of an image; see models.translator.Translator."""
    from models.translator import Translator

    return Translator.load(run, epoch, direction, device)


def __getattr__(name: str) -> Any:
    if name == "Translator":
        from models.translator import Translator

        return Translator
    raise AttributeError(f"module 'metamer' has no attribute {name!r}")
