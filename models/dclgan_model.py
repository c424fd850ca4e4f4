"""DCLGAN: dual contrastive learning for unsupervised image-to-image translation.

Han, Shoeiby, Petersson, Armin, CVPR workshops 2021. Two generators G_A: A -> B and G_B: B -> A, two discriminators
D_A (on B) and D_B (on A). Features of A come from G_A's first half through a projector F1, those of B from
G_B's through F2:

    L = ( lambda_GAN (GAN(G_A, D_A) + GAN(G_B, D_B))
        + lambda_NCE (PatchNCE(F2 G_A(a), F1 a) + PatchNCE(F1 G_B(b), F2 b))
        + lambda_IDT (|G_A(b) - b| + |G_B(a) - a|) ) / 2

The paper has no factor 1/2; the released code has.
"""

import torch

from models import contrast, flags, networks
from models.two_way import TwoWayModel
from util.errors import InputError


class DCLGANModel(contrast.Contrastive, TwoWayModel):
    captures = ("real_A", "real_B")  # see BaseModel
    mode = "dcl"
    # As released: PyTorch's defaults, since the released code gives the projectors' Adam no settings.
    adam_F = {"lr": 1e-3, "betas": (0.9, 0.999)}

    modify_commandline_options = staticmethod(flags.dclgan)

    def __init__(self, opt):
        super().__init__(opt)
        # As released: lambda_GAN scales the reported losses of the discriminators, but not the optimised ones.
        self.reported_weight_D = opt.lambda_GAN
        self.with_identity = self.isTrain and opt.nce_idt
        self.loss_names = ["D_A", "G_A", "NCE1", "D_B", "G_B", "NCE2", "G"] + ["idt_B", "idt_A"] * self.with_identity
        # idt_B = G_B(real_A), so it is shown in the row of real_A.
        row_A = ["real_A", "fake_B"] + ["idt_B"] * self.with_identity
        row_B = ["real_B", "fake_A"] + ["idt_A"] * self.with_identity
        self.visual_names = row_A + row_B
        if self.isTrain:
            self.check_weights()
            self.model_names = ["G_A", "F1", "D_A", "G_B", "F2", "D_B"]
            self.criterionNCE = [networks.CosinePatchNCELoss(opt) for _ in self.nce_layers]
            self.criterionIdt = torch.nn.L1Loss()
            self.optimizer_F = self.make_adam_F(*self.make_projectors())
            self.optimizers += [self.optimizer_F] if self.optimizer_F else []

    def check_weights(self):
        opt = self.opt
        if opt.DCL_mode.lower() != self.mode:
            other = {"dcl": "dclgan", "sim": "simdcl"}[opt.DCL_mode.lower()]
            raise InputError(f"--DCL_mode {opt.DCL_mode}: that is --model {other}")
        if self.with_identity and opt.input_nc != opt.output_nc:
            raise InputError(
                f"--input_nc {opt.input_nc} and --output_nc {opt.output_nc}: the identity loss feeds each generator "
                "its own output's domain; make them equal or give --nce_idt no"
            )
        if opt.lambda_GAN == 0 and not self.uses_patches() and not (self.with_identity and opt.lambda_IDT > 0):
            raise InputError("--lambda_GAN 0 and --lambda_NCE 0: there is nothing left to learn; set one of them")

    def make_projectors(self):
        """Create the projectors; returns the networks that optimizer_F updates."""
        self.netF1 = self.make_F(self.netG_A, self.opt.input_nc)
        self.netF2 = self.make_F(self.netG_B, self.opt.output_nc)
        return [self.netF1, self.netF2]

    def forward(self):
        self.flipped_for_equivariance = self.decided("flipped")
        if self.with_identity:
            self.fake_B, self.idt_A = self.generate(self.netG_A, self.real_A, self.real_B)
            self.fake_A, self.idt_B = self.generate(self.netG_B, self.real_B, self.real_A)
        else:
            self.fake_B = self.generate(self.netG_A, self.real_A)
            self.fake_A = self.generate(self.netG_B, self.real_B)

    def compute_G_loss(self):
        weight = self.opt.lambda_IDT
        self.loss_G_A = self.gan_loss(self.netD_A, self.fake_B)
        self.loss_G_B = self.gan_loss(self.netD_B, self.fake_A)
        self.loss_NCE1 = self.loss_NCE2 = self.loss_idt_A = self.loss_idt_B = 0.0
        if self.uses_patches():
            self.loss_NCE1 = self.calculate_NCE_loss1(self.real_A, self.fake_B)
            self.loss_NCE2 = self.calculate_NCE_loss2(self.real_B, self.fake_A)
        if self.with_identity:
            self.loss_idt_A = self.criterionIdt(self.idt_A, self.seen(self.real_B)) * weight
            self.loss_idt_B = self.criterionIdt(self.idt_B, self.seen(self.real_A)) * weight
        loss_AtoB = self.loss_G_A + self.loss_NCE1 + self.loss_idt_A
        loss_BtoA = self.loss_G_B + self.loss_NCE2 + self.loss_idt_B
        self.loss_G = (loss_AtoB + loss_BtoA) / 2
        return self.loss_G

    def calculate_NCE_loss1(self, src, tgt):
        """lambda_NCE PatchNCE(tgt, src): `tgt` is G_A's translation of `src`."""
        feat_q, feat_k = self.queries(self.netG_B, tgt), self.keys(self.netG_A, src)
        return self.nce(self.netF2, feat_q, self.netF1, feat_k) * self.opt.lambda_NCE

    def calculate_NCE_loss2(self, src, tgt):
        """lambda_NCE PatchNCE(tgt, src): `tgt` is G_B's translation of `src`."""
        feat_q, feat_k = self.queries(self.netG_A, tgt), self.keys(self.netG_B, src)
        return self.nce(self.netF1, feat_q, self.netF2, feat_k) * self.opt.lambda_NCE

    def optimize_parameters(self):
        self.run_forward()
        self.step([self.optimizer_D], [self.backward_D_A, self.backward_D_B])
        frozen = [self.netD_A, self.netD_B]
        self.step([self.optimizer_G, self.optimizer_F], self.compute_G_loss, frozen=frozen)
