"""CycleGAN: unpaired image-to-image translation with cycle-consistent adversarial networks.

Zhu, Park, Isola, Efros, ICCV 2017. Two generators G_A: A -> B and G_B: B -> A, two discriminators D_A (on B) and
D_B (on A):

    L = GAN(G_A, D_A) + GAN(G_B, D_B)                                                             (eq. 1)
        + lambda_A |G_B(G_A(a)) - a| + lambda_B |G_A(G_B(b)) - b|                                 (eq. 2)
        + lambda_identity (lambda_B |G_A(b) - b| + lambda_A |G_B(a) - a|)                         (section 5.2)
"""

import torch

from models import flags
from models.legacy import backward_verb
from models.two_way import TwoWayModel
from util.errors import InputError


class CycleGANModel(TwoWayModel):
    in_parts = True  # no loss compares samples, so --accumulate may split a batch
    captures = ("real_A", "real_B")  # the tensors that a captured step reads (--capture)

    modify_commandline_options = staticmethod(flags.cycle_gan)

    def __init__(self, opt):
        super().__init__(opt)
        self.loss_names = ["D_A", "G_A", "cycle_A", "idt_A", "D_B", "G_B", "cycle_B", "idt_B"]
        self.with_identity = self.isTrain and opt.lambda_identity > 0
        if self.with_identity and opt.input_nc != opt.output_nc:
            raise InputError(
                f"--input_nc {opt.input_nc} and --output_nc {opt.output_nc}: the identity loss feeds each generator "
                "its own output's domain; make them equal or give --lambda_identity 0"
            )
        # idt_B = G_B(real_A), so it is shown in the row of real_A.
        row_A = ["real_A", "fake_B", "rec_A"] + ["idt_B"] * self.with_identity
        row_B = ["real_B", "fake_A", "rec_B"] + ["idt_A"] * self.with_identity
        self.visual_names = row_A + row_B
        self.criterionCycle = torch.nn.L1Loss()
        self.criterionIdt = torch.nn.L1Loss()

    def forward(self):
        # The identity images of backward_G() share a pass with the translations where that is exact.
        input_idt_A, input_idt_B = (self.real_B, self.real_A) if self.with_identity else (None, None)
        self.fake_B = self.batched(self.netG_A, self.real_A, ahead=input_idt_A)
        self.rec_A = self.batched(self.netG_B, self.fake_B)
        self.fake_A = self.batched(self.netG_B, self.real_B, ahead=input_idt_B)
        self.rec_B = self.batched(self.netG_A, self.fake_A)

    @backward_verb
    def backward_G(self):
        opt = self.opt
        self.loss_idt_A = self.loss_idt_B = 0.0
        if self.with_identity:
            self.idt_A = self.batched(self.netG_A, self.real_B)
            self.idt_B = self.batched(self.netG_B, self.real_A)
            self.loss_idt_A = self.criterionIdt(self.idt_A, self.real_B) * opt.lambda_B * opt.lambda_identity
            self.loss_idt_B = self.criterionIdt(self.idt_B, self.real_A) * opt.lambda_A * opt.lambda_identity
        self.loss_G_A = self.criterionGAN(self.netD_A(self.fake_B), True).mean()
        self.loss_G_B = self.criterionGAN(self.netD_B(self.fake_A), True).mean()
        self.loss_cycle_A = self.criterionCycle(self.rec_A, self.real_A) * opt.lambda_A
        self.loss_cycle_B = self.criterionCycle(self.rec_B, self.real_B) * opt.lambda_B
        gan_and_cycle = self.loss_G_A + self.loss_G_B + self.loss_cycle_A + self.loss_cycle_B
        self.loss_G = gan_and_cycle + self.loss_idt_A + self.loss_idt_B
        return self.loss_G

    def optimize_parameters(self):
        self.run_forward()
        self.step([self.optimizer_G], self.backward_G, frozen=[self.netD_A, self.netD_B])
        self.step([self.optimizer_D], [self.backward_D_A, self.backward_D_B])
