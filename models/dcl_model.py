"""The original program's address of DCLGAN, for subclasses and imports; the model is in models/dclgan_model.py."""

from models.dclgan_model import DCLGANModel as DCLModel

__all__ = ["DCLModel"]
