"""The types of flags, and their scopes. A scope determines in which other commands the value of a flag applies.

Built-in flags and flags of plug-ins use the same types. A flag is declared with
``add_argument("--ngf", type=Int(1), default=64, scope="network", help=...)``; options/parser.py keeps the declaration.
"""

import argparse
import functools
import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from util.errors import InputError


class Scope(NamedTuple):
    """Where the value of a flag applies besides the command that gave it."""

    restored: bool  # a test takes the value from the trained run
    resumed: bool  # a continued run takes the value from the run as it was
    shared: bool  # all processes of a run must have the same value


SCOPES = {
    "network": Scope(restored=True, resumed=True, shared=True),  # in a test, another value is an error
    "data": Scope(restored=True, resumed=True, shared=True),
    "training": Scope(restored=True, resumed=True, shared=True),  # a test restores it only if the test has the flag
    "machine": Scope(restored=False, resumed=False, shared=False),
    "run": Scope(restored=False, resumed=False, shared=True),
}


class Declaration(NamedTuple):
    """The properties of a flag besides its type, default and help."""

    scope: str
    topic: str  # heading under which the help shows the flag
    common: bool  # whether -h shows the flag; --help_all shows every flag
    restored: bool
    resumed: bool
    shared: bool


SETTINGS = ("scope", "topic", "common", "restore", "resume")


def declaration(
    scope: str = "training",
    topic: str = "options",
    common: bool = True,
    restore: bool | None = None,
    resume: bool | None = None,
) -> Declaration:
    """The declaration of a flag; `restore` and `resume` override its scope."""
    if scope not in SCOPES:
        raise ValueError(f"scope {scope!r} of a flag: choose {', '.join(SCOPES)}")
    usual = SCOPES[scope]
    restored = usual.restored if restore is None else restore
    resumed = usual.resumed if resume is None else resume
    return Declaration(scope, topic, common, restored, resumed, usual.shared)


def declare(parser: argparse.ArgumentParser, **shared: Any) -> Callable[..., argparse.Action]:
    """``parser.add_argument`` with settings that several flags share, e.g. ``scope="data"``.

    A plain ArgumentParser gets the flags without SETTINGS, which only an OptionParser accepts.
    """
    if hasattr(parser, "declarations"):
        return functools.partial(parser.add_argument, **shared)

    def flag(*names: str, **settings: Any) -> argparse.Action:
        return parser.add_argument(*names, **{key: value for key, value in settings.items() if key not in SETTINGS})

    return flag


def _checked(kind, text, article, low, above, high):
    try:
        number = kind(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not {article}") from None
    bounds = [f"at least {low}"] * (low is not None) + [f"above {above}"] * (above is not None)
    bounds += [f"at most {high}"] * (high is not None)
    outside = (low is not None and number < low) or (above is not None and number <= above)
    if not math.isfinite(number) or outside or (high is not None and number > high):
        bounds = ["finite", *bounds] if kind is float else bounds
        raise argparse.ArgumentTypeError(f"'{text}' is not allowed; must be {' and '.join(bounds)}")
    return number


class Int:
    """Type of a whole-number flag within bounds (both ends allowed)."""

    def __init__(self, low: int | None = None, high: int | None = None) -> None:
        self.low, self.high = low, high

    def __call__(self, text: str) -> int:
        return _checked(int, text, "a whole number", self.low, None, self.high)


class Sides(NamedTuple):
    """Height and width in pixels, of a flag that takes ``256`` for a square or ``256,320`` for a rectangle."""

    height: int
    width: int

    def __str__(self) -> str:
        return f"{self.height},{self.width}"


def size(text: str) -> int | Sides:
    """Type of a flag for a size in pixels: a number for a square, the Sides for a rectangle given as H,W."""
    words = str(text).split(",")
    if len(words) > 2:
        raise argparse.ArgumentTypeError(f"'{text}' is not a size; give one number, or height,width as in 256,320")
    return as_size(Int(1)(words[0]), Int(1)(words[-1]))


def as_size(height: int, width: int) -> int | Sides:
    """A number for a square, which is what data sets of plug-ins expect, and Sides for a rectangle."""
    return height if height == width else Sides(height, width)


def sides(value: Any) -> Sides:
    """The Sides of a size: of a number, of (height, width), or of either as text."""
    value = size(value) if isinstance(value, str) else value
    return Sides(*value) if isinstance(value, list | tuple) else Sides(value, value)


def data_range(text: str) -> tuple[float, float]:
    """Type of a flag for a range of values: ``0,4095`` or ``-1000,3000``, the lower end first."""
    words = str(text).split(",")
    if len(words) != 2:
        raise argparse.ArgumentTypeError(f"'{text}' is not a range; give two numbers, as in 0,4095")
    low, high = (Float()(word) for word in words)
    if low >= high:
        raise argparse.ArgumentTypeError(f"'{text}' is not a range; the first number must be the smaller one")
    return low, high


class Float:
    """Type of a flag for a finite number with `low` <= number <= `high` and number > `above`; None: no limit."""

    def __init__(self, low: float | None = None, above: float | None = None, high: float | None = None) -> None:
        self.low, self.above, self.high = low, above, high

    def __call__(self, text: str) -> float:
        return _checked(float, text, "a number", self.low, self.above, self.high)


def count(text: str) -> float:
    """Type of a flag that counts something and may be unlimited: a positive whole number, or inf."""
    return math.inf if str(text) in ("inf", "Infinity") else Int(1)(text)


def yes_no(text: str | bool) -> bool:
    """Type of a flag with the values yes/true/t/y/1 and no/false/f/n/0; a bool is returned unchanged."""
    if isinstance(text, bool):
        return text
    if text.lower() in ("yes", "true", "t", "y", "1"):
        return True
    if text.lower() in ("no", "false", "f", "n", "0"):
        return False
    raise argparse.ArgumentTypeError(f"'{text}' is not yes or no")


SWITCH = {"type": yes_no, "nargs": "?", "const": True}  # settings of a flag that may stand alone, which means yes


def words(table: Iterable[str]) -> str:
    """The words of a table, joined for a help text."""
    return " | ".join(table)


def as_typed(value: Any) -> str:
    """A value as a user types it; empty for no value."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Sides):
        return str(value)
    if isinstance(value, (list, tuple)):
        return " ".join(map(str, value))
    return "" if value is None else str(value)


def plain_options(opt: argparse.Namespace) -> dict[str, Any]:
    """The options as plain values for JSON, sorted; infinities, devices and sizes of two sides become text."""
    return {key: _plain(value) for key, value in sorted(vars(opt).items()) if key != "visualizer"}


def _plain(value):
    if isinstance(value, (list, tuple)) and not isinstance(value, Sides):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, (bool, int, str)) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return str(value)


def refuse(parser: Any, who: str, **instead: str) -> None:
    """Raise InputError if a flag of `instead` was given, because `who` doesn't read it; instead[flag] is the mend."""
    for name in sorted(parser.given() & instead.keys()):
        raise InputError(f"--{name}: {who} doesn't read it; {instead[name]}")
