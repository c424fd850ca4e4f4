"""The address from which models written for CUT and DCLGAN import PatchNCE; the losses are in models/losses.py."""

from models.losses import CosinePatchNCELoss, PatchNCELoss

PatchNCELoss2 = PatchNCELoss  # DCLGAN's name for the loss of CUT

__all__ = ["CosinePatchNCELoss", "PatchNCELoss", "PatchNCELoss2"]
