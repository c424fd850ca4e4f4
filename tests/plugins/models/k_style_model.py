"""A model as people wrote them for the 2018-2024 original: relative imports, gpu_ids by position, own backward()."""

import itertools
import os

import torch
from util.image_pool import ImagePool

from . import networks
from .base_model import BaseModel


class KStyleModel(BaseModel):
    @staticmethod
    def modify_commandline_options(parser, is_train=True):
        parser.set_defaults(no_dropout=True, norm="instance", netG="resnet_6blocks")
        if is_train:
            parser.add_argument("--lambda_L2", type=float, default=5.0)
            # redefines a flag of the framework with another default
            parser.add_argument("--pool_size", type=int, default=3)
        return parser

    def __init__(self, opt):
        BaseModel.__init__(self, opt)
        self.loss_names = ["G", "D", "parts"]
        self.visual_names = ["real_A", "fake_B", "real_B"]
        self.model_names = ["G", "D"] if self.isTrain else ["G"]
        self.netG = networks.define_G(
            opt.input_nc, opt.output_nc, opt.ngf, opt.netG, opt.norm, not opt.no_dropout,
            opt.init_type, opt.init_gain, self.gpu_ids,
        )  # fmt: skip
        if self.isTrain:
            self.netD = networks.define_D(
                opt.output_nc, opt.ndf, opt.netD, opt.n_layers_D, opt.norm, opt.init_type, opt.init_gain, self.gpu_ids
            )
            self.pool = ImagePool(opt.pool_size)
            self.criterionGAN = networks.GANLoss(opt.gan_mode).to(self.device)
            self.optimizer_G = torch.optim.Adam(
                itertools.chain(self.netG.parameters()), lr=opt.lr, betas=(opt.beta1, 0.999)
            )
            self.optimizer_D = torch.optim.Adam(self.netD.parameters(), lr=opt.lr, betas=(opt.beta1, 0.999))
            self.optimizers.append(self.optimizer_G)
            self.optimizers.append(self.optimizer_D)
        self.note = os.path.join(self.save_dir, "note.txt")
        self.step = 0  # an attribute name that the framework uses, too

    def set_input(self, input):
        AtoB = self.opt.direction == "AtoB"
        self.real_A = input["A" if AtoB else "B"].to(self.device)
        self.real_B = input["B" if AtoB else "A"].to(self.device)
        self.image_paths = input["A_paths" if AtoB else "B_paths"]

    def forward(self):
        self.fake_B = self.netG(self.real_A)

    def optimize_parameters(self):
        self.step += 1
        self.forward()
        self.set_requires_grad(self.netD, False)
        self.optimizer_G.zero_grad()
        self.loss_parts = 2  # a plain number is a loss too
        self.loss_G = (
            self.criterionGAN(self.netD(self.fake_B), True)
            + self.opt.lambda_L2 * ((self.fake_B - self.real_B) ** 2).mean()
        )
        self.loss_G.backward()
        self.optimizer_G.step()
        self.set_requires_grad([self.netD, None], True)
        self.optimizer_D.zero_grad()
        fake = self.pool.query(self.fake_B)
        self.loss_D = 0.5 * (
            self.criterionGAN(self.netD(self.real_B), True) + self.criterionGAN(self.netD(fake.detach()), False)
        )
        self.loss_D.backward()
        self.optimizer_D.step()
