"""pix2pix: image-to-image translation with conditional adversarial networks.

Isola, Zhu, Zhou, Efros, CVPR 2017. A generator G: A -> B and a discriminator D that judges pairs (A, B):

    G* = arg min_G max_D  cGAN(G, D) + lambda_L1 |b - G(a)|                                        (eq. 4)

The paper's noise z is the dropout in G, which also a test applies (unless --eval is given). --lambda_feat and
--lambda_perceptual add terms that compare G(a) with b in features of D and of a trained classifier (models/paired.py).
"""

import torch

from models import flags, losses, networks
from models.base_model import BaseModel
from models.legacy import backward_verb
from models.paired import Paired


class Pix2PixModel(Paired, BaseModel):
    in_parts = True  # no loss compares samples, so --accumulate may split a batch
    captures = ("real_A", "real_B")  # the tensors that a captured step reads (--capture)
    generator_names = ("G",)
    scored_visuals = {"fake_B": ("real_A", "real_B")}
    discriminator_losses = {"D": ("D_real", "D_fake")}

    modify_commandline_options = staticmethod(flags.pix2pix)

    def __init__(self, opt):
        super().__init__(opt)
        self.loss_names = ["G_GAN", "G_L1", *self.paired_terms, "D_real", "D_fake"]
        self.visual_names = ["real_A", "fake_B", "real_B"]
        self.model_names = ["G", "D"] if self.isTrain else ["G"]
        self.netG = self.make_G(opt.input_nc, opt.output_nc)
        if self.isTrain:
            self.netD = self.make_D(opt.input_nc, opt.output_nc)
            self.criterionGAN = networks.GANLoss(opt.gan_mode).to(self.device)
            self.criterionL1 = torch.nn.L1Loss()
            self.optimizer_G = self.make_adam(self.netG, rate="lr_G")
            self.optimizer_D = self.make_adam(self.netD, rate="lr_D")
            self.optimizers = [self.optimizer_G, self.optimizer_D]

    def set_input(self, input):
        self.real_A, self.real_B = self.sides(input)

    def translate(self, images):
        return {"fake_B": self.netG(images)}

    def forward(self):
        self.fake_B = self.batched(self.netG, self.real_A)

    @backward_verb
    def backward_D(self):
        real = torch.cat((self.real_A, self.real_B), 1)
        fake = torch.cat((self.real_A, self.fake_B), 1).detach()
        # The generated pair comes first, as released: batch norm weights the last pass most in its running statistics.
        pred_fake, pred_real = self.batched(self.netD, fake, real)
        loss, self.loss_D_real, self.loss_D_fake = losses.discriminator_loss(
            self.criterionGAN, pred_real, pred_fake, self._own.label_smoothing
        )
        self.loss_D = loss + self.gradient_penalty(self.netD, real, fake)
        return self.loss_D

    @backward_verb
    def backward_G(self):
        of_fake = self.judge(self.netD, fake=(self.real_A, self.fake_B), real=(self.real_A, self.real_B))
        self.loss_G_GAN = self.criterionGAN(of_fake, True).mean()
        self.loss_G_L1 = self.criterionL1(self.fake_B, self.real_B) * self.opt.lambda_L1
        self.loss_G = self.with_terms(self.loss_G_GAN + self.loss_G_L1, self.fake_B, self.real_B)
        return self.loss_G

    def optimize_parameters(self):
        self.run_forward()
        self.step([self.optimizer_D], self.backward_D)
        self.step([self.optimizer_G], self.backward_G, frozen=[self.netD])
