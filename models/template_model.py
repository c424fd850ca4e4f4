"""The model to copy: least-squares regression from A to B.

    L = lambda_regression |B - G(A)|

Save your copy as models/<name>_model.py with a class <Name>Model (no underscores), and train it with
``python train.py --model <name>``. BaseModel documents what the lists of names stand for.
"""

import torch

from models.base_model import BaseModel
from models.legacy import backward_verb
from util.flags import Float


class TemplateModel(BaseModel):
    in_parts = True  # no loss compares samples, so --accumulate may split a batch
    captures = ("data_A", "data_B")  # the tensors that a step reads; delete it if a step makes choices on the host
    generator_names = ("G",)  # the networks that generate images
    scored_visuals = {"output": ("data_A", "data_B")}  # translation -> (its input, a real image of its domain)

    @staticmethod
    def modify_commandline_options(parser, is_train=True):
        """Flags of this model, and defaults that suit it. Flags without use at test belong under is_train."""
        parser.set_defaults(dataset_mode="aligned")
        if is_train:
            parser.add_argument("--lambda_regression", type=Float(low=0), default=1.0, help="weight of the L1 loss")
        return parser

    def __init__(self, opt):
        super().__init__(opt)
        self.loss_names = ["G"]  # self.loss_G: printed, logged, plotted
        self.visual_names = ["data_A", "data_B", "output"]  # self.data_A, ...: on result pages and dashboards
        self.model_names = ["G"]  # self.netG: saved, loaded, moved to the device
        self.netG = self.make_G(opt.input_nc, opt.output_nc)
        if self.isTrain:
            self.criterionLoss = torch.nn.L1Loss()
            self.optimizer = self.make_adam(self.netG, rate="lr_G")
            self.optimizers = [self.optimizer]  # their learning rates follow --lr_policy

    def set_input(self, input):
        """Unpack a batch of the data set."""
        self.data_A, self.data_B = self.sides(input)

    def translate(self, images):
        """A batch (N, C, H, W) in [-1, 1] -> its translations by name, without changing the model."""
        return {"output": self.netG(images)}

    def forward(self):
        self.output = self.batched(self.netG, self.data_A)

    @backward_verb
    def backward(self):
        """The loss to minimise; step() computes its gradients."""
        self.loss_G = self.criterionLoss(self.output, self.data_B) * self.opt.lambda_regression
        return self.loss_G

    def optimize_parameters(self):
        self.run_forward()
        self.step([self.optimizer], self.backward)
