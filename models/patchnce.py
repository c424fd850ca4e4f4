"""The module from which models written for CUT and DCLGAN import PatchNCE; the losses are in models/losses.py."""

from models import DCLGAN_FLAGS, losses
from models.losses import CosinePatchNCELoss

PatchNCELoss2 = losses.PatchNCELoss  # DCLGAN's name for the loss of CUT


class PatchNCELoss(losses.PatchNCELoss):
    """CUT's loss; with the options of a model written for DCLGAN, DCLGAN's loss, which is on cosines."""

    def __new__(cls, opt):
        from_dclgan = any(hasattr(opt, flag) for flag in DCLGAN_FLAGS)
        return CosinePatchNCELoss(opt) if from_dclgan and cls is PatchNCELoss else super().__new__(cls)


__all__ = ["CosinePatchNCELoss", "PatchNCELoss", "PatchNCELoss2"]
