"""A model as people wrote them for CUT: data_dependent_initialize, antialias arguments, features of the generator."""

import torch
import util.util as util
from models import networks
from models.base_model import BaseModel


class CStyleModel(BaseModel):
    @staticmethod
    def modify_commandline_options(parser, is_train=True):
        parser.add_argument("--nce_layers_used", type=str, default="0,4,8")
        parser.add_argument("--with_head", type=util.str2bool, nargs="?", const=True, default=False)
        parser.add_argument("--C_mode", type=str, default="full", choices=["full", "fast"])
        opt, _ = parser.parse_known_args()  # looks at another flag to choose a default
        if opt.C_mode == "fast":
            parser.set_defaults(lr=0.5)
        return parser

    def __init__(self, opt):
        BaseModel.__init__(self, opt)
        self.loss_names = ["G"]
        self.visual_names = ["real_A", "fake_B"]
        self.model_names = ["G", "F"] if self.isTrain else ["G"]
        self.layers = [int(i) for i in opt.nce_layers_used.split(",")]
        self.netG = networks.define_G(
            opt.input_nc, opt.output_nc, opt.ngf, opt.netG, opt.normG, not opt.no_dropout, opt.init_type,
            opt.init_gain, opt.no_antialias, opt.no_antialias_up, self.gpu_ids, opt,
        )  # fmt: skip
        self.calls = []
        if self.isTrain:
            self.netF = torch.nn.Module()
            self.optimizer_G = torch.optim.Adam(self.netG.parameters(), lr=opt.lr, betas=(opt.beta1, opt.beta2))
            self.optimizers.append(self.optimizer_G)

    def data_dependent_initialize(self, data):
        self.calls.append("first batch")
        self.set_input(data)
        self.forward()
        if self.isTrain:
            features = self.netG(self.real_A, self.layers, encode_only=True)
            self.netF.heads = torch.nn.ModuleList(torch.nn.Linear(f.shape[1], 4) for f in features)
            self.optimizer_F = torch.optim.Adam(self.netF.parameters(), lr=self.opt.lr)
            self.optimizers.append(self.optimizer_F)

    def setup(self, opt):
        self.calls.append("setup")
        BaseModel.setup(self, opt)

    def parallelize(self):
        self.calls.append("parallelize")

    def set_input(self, input):
        self.real_A = input["A"].to(self.device)
        self.image_paths = input["A_paths"]

    def forward(self):
        self.fake_B = self.netG(self.real_A)

    def optimize_parameters(self):
        self.forward()
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        features = self.netG(self.fake_B, self.layers, encode_only=True)
        self.loss_G = sum(
            head(feature.permute(0, 2, 3, 1)).pow(2).mean() for head, feature in zip(self.netF.heads, features)
        )
        self.loss_G.backward()
        for optimizer in self.optimizers:
            optimizer.step()
