"""The address where models written for CUT and DCLGAN look for PatchNCE; the losses are in models/losses.py."""

from models.losses import CosinePatchNCELoss, PatchNCELoss

PatchNCELoss2 = PatchNCELoss  # DCLGAN's name for CUT's

__all__ = ["CosinePatchNCELoss", "PatchNCELoss", "PatchNCELoss2"]
