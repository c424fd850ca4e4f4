"""Types of flags: what a value may be, said in the error where it is not. For our models and for plug-ins."""

import argparse
import math

from util.errors import InputError


def _checked(kind, text, article, low, above, high):
    try:
        number = kind(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not {article}") from None
    bounds = [f"at least {low}"] * (low is not None) + [f"above {above}"] * (above is not None)
    bounds += [f"at most {high}"] * (high is not None)
    outside = (low is not None and number < low) or (above is not None and number <= above)
    if not math.isfinite(number) or outside or (high is not None and number > high):
        raise argparse.ArgumentTypeError(f"'{text}' is not allowed; must be {' and '.join(['finite', *bounds])}")
    return number


class Int:
    """Type of a whole-number flag within bounds (both ends allowed)."""

    def __init__(self, low=None, high=None):
        self.low, self.high = low, high

    def __call__(self, text):
        return _checked(int, text, "a whole number", self.low, None, self.high)


class Float:
    """Type of a finite number flag; `low` and `high` are allowed themselves, `above` is not."""

    def __init__(self, low=None, above=None, high=None):
        self.low, self.above, self.high = low, above, high

    def __call__(self, text):
        return _checked(float, text, "a number", self.low, self.above, self.high)


def count(text):
    """Type of a flag that counts things and may be unlimited: a positive whole number, or inf."""
    return math.inf if str(text) in ("inf", "Infinity") else Int(1)(text)


def yes_no(text):
    """Type of a flag that may stand alone (= yes) or take yes/true/t/y/1 or no/false/f/n/0."""
    if isinstance(text, bool):
        return text
    if text.lower() in ("yes", "true", "t", "y", "1"):
        return True
    if text.lower() in ("no", "false", "f", "n", "0"):
        return False
    raise argparse.ArgumentTypeError(f"'{text}' is not yes or no")


SWITCH = {"type": yes_no, "nargs": "?", "const": True}  # add_argument("--flag", **SWITCH, default=...)


def words(table):
    """The words of a table as help texts show them."""
    return " | ".join(table)


def refuse(parser, who, **instead):
    """InputError for a flag on the command line that `who` doesn't read; instead[name] says what to do about it."""
    for name in sorted(parser.given() & instead.keys()):
        raise InputError(f"--{name}: {who} doesn't read it; {instead[name]}")
