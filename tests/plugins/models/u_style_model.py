"""A model as people write them for the 2025 original: opt.device, Path-like save_dir, a hand-made network."""

import torch
from models import networks
from models.base_model import BaseModel


class TinyNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 3, 3, padding=1)
        torch.nn.init.constant_(self.conv.weight, 0.25)

    def forward(self, x):
        return torch.tanh(self.conv(x))


class UStyleModel(BaseModel):
    @staticmethod
    def modify_commandline_options(parser, is_train):
        parser.add_argument("--tiny_weight", type=float, default=1.0)
        return parser

    def __init__(self, opt):
        super().__init__(opt)
        self.loss_names = ["Tiny", "G_GAN"]
        self.visual_names = ["real_A", "fake_B"]
        self.model_names = ["Tiny", "D"] if self.isTrain else ["Tiny"]
        self.device = opt.device
        self.netTiny = TinyNet()
        self.report = self.save_dir / "report.txt"
        if self.isTrain:
            self.netD = networks.define_D(opt.output_nc, opt.ndf, opt.netD, opt.n_layers_D, opt.norm)
            self.criterionGAN = networks.GANLoss(opt.gan_mode).to(self.device)
            self.optimizers.append(torch.optim.Adam(self.netTiny.parameters(), lr=opt.lr))

    def set_input(self, input):
        self.real_A = input["A"].to(self.device)
        self.image_paths = input["A_paths"]

    def forward(self):
        self.fake_B = self.netTiny(self.real_A)

    def optimize_parameters(self):
        self.forward()
        self.optimizers[0].zero_grad()
        self.loss_G_GAN = self.criterionGAN(self.netD(self.fake_B), True)
        self.loss_Tiny = self.opt.tiny_weight * self.fake_B.abs().mean()
        (self.loss_Tiny + self.loss_G_GAN).backward()
        self.optimizers[0].step()
