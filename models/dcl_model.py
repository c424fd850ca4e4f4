"""The address of DCLGAN in the original program, for subclasses and imports; the page is models/dclgan_model.py."""

from models.dclgan_model import DCLGANModel as DCLModel

__all__ = ["DCLModel"]
