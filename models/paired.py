"""Losses that compare a translation with its true image: feature matching and the perceptual loss."""

import torch

from models import losses, perceptual
from util.errors import InputError


class Paired:
    """Mixed into a model before its BaseModel, for models whose translations have true images.

    The model's generator loss calls judge() and with_terms(); ``paired_terms`` are the loss_names of the terms in use.
    """

    def __init__(self, opt):
        super().__init__(opt)
        own = self._own
        self._lambda_feat = getattr(own, "lambda_feat", 0) if self.isTrain else 0
        self._lambda_perceptual = getattr(own, "lambda_perceptual", 0) if self.isTrain else 0
        self.paired_terms = ["G_feat"] * (self._lambda_feat > 0) + ["G_perceptual"] * (self._lambda_perceptual > 0)
        if self._lambda_perceptual > 0:
            if opt.output_nc not in (1, 3):
                raise InputError(
                    f"--lambda_perceptual {self._lambda_perceptual}: its classifier takes images of 3 channels, or of "
                    f"1 for gray, and --output_nc is {opt.output_nc}; leave the flag out"
                )
            kind, path = own.perceptual, own.perceptual_weights
            self._perceptual = perceptual.make(kind, path, opt, self.device, self._precision)

    def judge(self, netD, fake, real):
        """netD of the generated images; `fake` and `real`: tuples of batches, which are concatenated by channels.

        With --lambda_feat it also sets loss_G_feat, over the feature maps i of the discriminators k (--num_D):

            lambda_feat sum_k sum_i mean |D_k^i(fake) - D_k^i(real)|         (Wang et al., CVPR 2018, section 3.2)
        """
        if self._lambda_feat == 0:
            return netD(torch.cat(fake, 1))
        self._flags_read.add("lambda_feat")
        # The CPU's random generator is restored, so that --diffaugment draws the same for real and generated images.
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            _, of_real = netD(torch.cat(real, 1), features=True)
        logits, of_fake = netD(torch.cat(fake, 1), features=True)
        self.loss_G_feat = losses.feature_matching(of_fake, of_real) * self._lambda_feat
        return logits

    def with_terms(self, loss, fake, real):
        """The loss plus the terms in use; with --lambda_perceptual sets loss_G_perceptual, see models/perceptual.py."""
        if self._lambda_perceptual > 0:
            self._flags_read.add("lambda_perceptual")
            self.loss_G_perceptual = self._perceptual(fake, real) * self._lambda_perceptual
        for name in self.paired_terms:
            loss = loss + getattr(self, f"loss_{name}")
        return loss
