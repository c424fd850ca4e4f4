"""SinCUT: CUT trained on a single image of each domain.

Park, Efros, Zhang, Zhu, ECCV 2020, section 4.4. The training set consists of patches of the two images at random
scales; G and D are StyleGAN2's networks (Karras et al., CVPR 2020). A test translates the whole image at full size.

    L_G = L_CUT + lambda_identity |G(b) - b|
    L_D = GAN(D) + lambda_R1 / 2 E_b |grad_b D(b)|^2        R1 (Mescheder et al., ICML 2018, equation 9)

With --lazy_R1 N the R1 term is computed in every N-th step, with N times its weight (StyleGAN2, section 3.1).
"""

from torch.nn.functional import l1_loss

from models import flags
from models.cut_model import CUTModel
from util.errors import InputError


class SinCUTModel(CUTModel):
    captures = CUTModel.captures  # see BaseModel

    modify_commandline_options = staticmethod(flags.sincut)

    def __init__(self, opt):
        super().__init__(opt)
        if not self.isTrain:
            return
        self.loss_names += ["D_R1"] * (opt.lambda_R1 > 0) + ["idt"] * (opt.lambda_identity > 0)
        self.loss_D_R1 = 0.0
        if opt.lambda_identity > 0 and not self.makes_identity:
            self.makes_identity = True
            self.visual_names.append("idt_B")

    def check_weights(self):
        super().check_weights()
        opt = self.opt
        if opt.lambda_identity > 0 and opt.input_nc != opt.output_nc:
            raise InputError(
                f"--input_nc {opt.input_nc} and --output_nc {opt.output_nc}: the identity loss feeds images of B to "
                "the generator; make them equal or give --lambda_identity 0"
            )

    def decide(self):
        with_R1 = self.opt.lambda_R1 > 0 and self._steps_begun % self.opt.lazy_R1 == 0
        return {**super().decide(), "with_own_R1": with_R1}

    def compute_D_loss(self):
        self.loss_D = super().compute_D_loss()
        if self.opt.lambda_R1 > 0:
            # 0 in the steps without the term: the mean over the steps is then the mean of R1.
            self.loss_D_R1 = self.lazy_r1(self.netD, self.real_B, self.opt.lambda_R1, self._own.lazy_R1)
            self.loss_D = self.loss_D + self.loss_D_R1
        return self.loss_D

    def compute_G_loss(self):
        self.loss_G = super().compute_G_loss()
        if self.opt.lambda_identity > 0:
            self.loss_idt = l1_loss(self.idt_B, self.seen(self.real_B)) * self.opt.lambda_identity
            self.loss_G = self.loss_G + self.loss_idt
        return self.loss_G

    def state_dict(self):
        """For an exact resume: --lazy_R1 counts steps."""
        return {"steps_made": self._steps_begun}

    def load_state_dict(self, state):
        self._steps_begun = state["steps_made"]
