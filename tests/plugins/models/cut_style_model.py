"""A model as people derived theirs from CUT: PatchSampleF built by the first batch, ids on the host, PatchNCELoss."""

import numpy as np
import torch
from .base_model import BaseModel
from . import networks
from .patchnce import PatchNCELoss
import util.util as util


class CutStyleModel(BaseModel):
    @staticmethod
    def modify_commandline_options(parser, is_train=True):
        parser.add_argument("--lambda_NCE", type=float, default=1.0)
        parser.add_argument("--nce_layers", type=str, default="0,4,8")
        parser.add_argument(
            "--nce_includes_all_negatives_from_minibatch", type=util.str2bool, nargs="?", const=True, default=False
        )
        parser.add_argument("--netF", type=str, default="mlp_sample", choices=["sample", "reshape", "mlp_sample"])
        parser.add_argument("--netF_nc", type=int, default=256)
        parser.add_argument("--nce_T", type=float, default=0.07)
        parser.add_argument("--num_patches", type=int, default=256)
        parser.set_defaults(pool_size=0)
        return parser

    def __init__(self, opt):
        BaseModel.__init__(self, opt)
        self.loss_names = ["G_GAN", "D_real", "D_fake", "G", "NCE"]
        self.visual_names = ["real_A", "fake_B", "real_B"]
        self.nce_layers = [int(i) for i in self.opt.nce_layers.split(",")]
        self.model_names = ["G", "F", "D"] if self.isTrain else ["G"]
        self.netG = networks.define_G(
            opt.input_nc,
            opt.output_nc,
            opt.ngf,
            opt.netG,
            opt.normG,
            not opt.no_dropout,
            opt.init_type,
            opt.init_gain,
            opt.no_antialias,
            opt.no_antialias_up,
            self.gpu_ids,
            opt,
        )
        self.netF = networks.define_F(
            opt.input_nc,
            opt.netF,
            opt.normG,
            not opt.no_dropout,
            opt.init_type,
            opt.init_gain,
            opt.no_antialias,
            self.gpu_ids,
            opt,
        )
        if self.isTrain:
            self.netD = networks.define_D(
                opt.output_nc,
                opt.ndf,
                opt.netD,
                opt.n_layers_D,
                opt.normD,
                opt.init_type,
                opt.init_gain,
                opt.no_antialias,
                self.gpu_ids,
                opt,
            )
            self.criterionGAN = networks.GANLoss(opt.gan_mode).to(self.device)
            self.criterionNCE = [PatchNCELoss(opt).to(self.device) for _ in self.nce_layers]
            self.optimizer_G = torch.optim.Adam(self.netG.parameters(), lr=opt.lr, betas=(opt.beta1, opt.beta2))
            self.optimizer_D = torch.optim.Adam(self.netD.parameters(), lr=opt.lr, betas=(opt.beta1, opt.beta2))
            self.optimizers.append(self.optimizer_G)
            self.optimizers.append(self.optimizer_D)

    def data_dependent_initialize(self, data):
        bs_per_gpu = data["A"].size(0) // max(len(self.opt.gpu_ids), 1)
        self.set_input(data)
        self.real_A = self.real_A[:bs_per_gpu]
        self.real_B = self.real_B[:bs_per_gpu]
        self.forward()
        if self.opt.isTrain:
            self.discriminator_part().backward()
            self.generator_part().backward()
            self.optimizer_F = torch.optim.Adam(
                self.netF.parameters(), lr=self.opt.lr, betas=(self.opt.beta1, self.opt.beta2)
            )
            self.optimizers.append(self.optimizer_F)

    def set_input(self, input):
        AtoB = self.opt.direction == "AtoB"
        self.real_A = input["A" if AtoB else "B"].to(self.device)
        self.real_B = input["B" if AtoB else "A"].to(self.device)
        self.image_paths = input["A_paths" if AtoB else "B_paths"]

    def forward(self):
        self.fake_B = self.netG(self.real_A)

    def optimize_parameters(self):
        self.forward()
        self.set_requires_grad(self.netD, True)
        self.optimizer_D.zero_grad()
        self.discriminator_part().backward()
        self.optimizer_D.step()
        self.set_requires_grad(self.netD, False)
        self.optimizer_G.zero_grad()
        self.optimizer_F.zero_grad()
        self.generator_part().backward()
        self.optimizer_G.step()
        self.optimizer_F.step()

    def discriminator_part(self):
        self.loss_D_fake = self.criterionGAN(self.netD(self.fake_B.detach()), False).mean()
        self.loss_D_real = self.criterionGAN(self.netD(self.real_B), True).mean()
        return (self.loss_D_fake + self.loss_D_real) * 0.5

    def generator_part(self):
        self.loss_G_GAN = self.criterionGAN(self.netD(self.fake_B), True).mean()
        feat_q = self.netG(self.fake_B, self.nce_layers, encode_only=True)
        feat_k = self.netG(self.real_A, self.nce_layers, encode_only=True)
        feat_k_pool, sample_ids = self.netF(feat_k, self.opt.num_patches, None)
        sample_ids = [np.asarray(ids) for ids in sample_ids]  # some forks carry them on the host
        feat_q_pool, _ = self.netF(feat_q, self.opt.num_patches, sample_ids)
        total = 0.0
        for f_q, f_k, crit, _ in zip(feat_q_pool, feat_k_pool, self.criterionNCE, self.nce_layers):
            total += (crit(f_q, f_k) * self.opt.lambda_NCE).mean()
        self.loss_NCE = total / len(self.nce_layers)
        self.loss_G = self.loss_G_GAN + self.loss_NCE
        return self.loss_G
