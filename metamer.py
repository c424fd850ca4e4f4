"""Metamer from Python: a trained run as a function.

from metamer import load

translate = load("checkpoints/horses", epoch="latest", direction="AtoB", device="auto")
zebra = translate("horse.jpg")              # a path or a PIL image gives a PIL image,
zebras = translate([array, other_array])    # an array gives an array, a list gives a list
"""

from __future__ import annotations

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # so that any program finds the packages

from models.translator import Translator

__all__ = ["Translator", "load"]


def load(run: str | os.PathLike, epoch: str | int = "latest", direction: str | None = None, device: str = "auto"):
    """Load the trained run in a folder as a function of an image; see models.translator.Translator."""
    return Translator.load(run, epoch, direction, device)
