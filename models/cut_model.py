"""CUT and FastCUT: contrastive learning for unpaired image-to-image translation.

Park, Efros, Zhang, Zhu, ECCV 2020. A generator G: A -> B, a discriminator D on B, and a projector F that maps features
of G's first half to one vector per patch. PatchNCE pulls the vector of a translated patch towards that of the source
patch at the same place, and away from those of other patches:

    L = lambda_GAN GAN(G, D) + lambda_NCE (PatchNCE(G(a), a) + PatchNCE(G(b), b)) / 2      CUT
    L = lambda_GAN GAN(G, D) + lambda_NCE PatchNCE(G(a), a)                                FastCUT

The paper gives each NCE term a weight of 1; the released code, followed here, takes their mean.
"""

from models import contrast, flags, losses, networks
from models.base_model import BaseModel
from util.errors import InputError


class CUTModel(contrast.Contrastive, BaseModel):
    in_parts = True  # no loss compares samples, so --accumulate may split a batch; check_weights() has the exception
    captures = ("real_A", "real_B")  # the tensors that a captured step reads (--capture)
    generator_names = ("G",)
    scored_visuals = {"fake_B": ("real_A", "real_B")}
    discriminator_losses = {"D": ("D_real", "D_fake")}

    modify_commandline_options = staticmethod(flags.cut)

    def __init__(self, opt):
        super().__init__(opt)
        self.with_identity = self.isTrain and opt.nce_idt and opt.lambda_NCE > 0
        self.compares_images = opt.nce_includes_all_negatives_from_minibatch
        self.makes_identity = self.with_identity  # a subclass with another loss on idt_B sets it to True
        self.loss_names = ["G_GAN", "D_real", "D_fake", "G", "NCE"] + ["NCE_Y"] * self.with_identity
        self.visual_names = ["real_A", "fake_B", "real_B"] + ["idt_B"] * self.with_identity
        self.model_names = ["G", "F", "D"] if self.isTrain else ["G"]
        self.netG = self.make_G(opt.input_nc, opt.output_nc)
        if self.isTrain:
            self.check_weights()
            self.netF = self.make_F(self.netG, opt.input_nc)
            self.netD = self.make_D(opt.output_nc)
            self.criterionGAN = networks.GANLoss(opt.gan_mode).to(self.device)
            self.criterionNCE = [networks.PatchNCELoss(opt) for _ in self.nce_layers]
            self.optimizer_G = self.make_adam(self.netG, rate="lr_G")
            self.optimizer_D = self.make_adam(self.netD, rate="lr_D")
            self.optimizer_F = self.make_adam_F(self.netF)
            self.optimizers = [each for each in (self.optimizer_G, self.optimizer_D, self.optimizer_F) if each]

    def check_weights(self):
        opt = self._own
        if opt.lambda_GAN == 0 and opt.lambda_NCE == 0:
            raise InputError("--lambda_GAN 0 and --lambda_NCE 0: there is nothing left to learn; set one of them")
        if opt.accumulate > 1 and opt.nce_includes_all_negatives_from_minibatch:
            raise InputError(
                f"--accumulate {opt.accumulate}, --nce_includes_all_negatives_from_minibatch: images of two "
                "micro-batches can't be compared; give only one of the two flags"
            )
        if opt.lambda_NCE > 0 and opt.input_nc != opt.output_nc:
            raise InputError(
                f"--input_nc {opt.input_nc} and --output_nc {opt.output_nc}: the contrastive loss feeds translations "
                "to the generator; make them equal or give --lambda_NCE 0"
            )

    def set_input(self, input):
        self.real_A, self.real_B = self.sides(input)

    def translate(self, images):
        return {"fake_B": self.netG(images)}

    def forward(self):
        self.flipped_for_equivariance = self.decided("flipped")
        if self.makes_identity:
            # One pass for both batches even with --economies no, as released: batch norm computes joint statistics.
            self.fake_B, self.idt_B = self.generate(self.netG, self.real_A, self.real_B, share=True)
        else:
            self.fake_B = self.generate(self.netG, self.real_A)

    def compute_D_loss(self):
        fake = self.fake_B.detach()
        pred_fake, pred_real = self.batched(self.netD, fake, self.real_B)
        loss, self.loss_D_real, self.loss_D_fake = losses.discriminator_loss(
            self.criterionGAN, pred_real, pred_fake, self._own.label_smoothing
        )
        self.loss_D = loss + self.gradient_penalty(self.netD, self.real_B, fake)
        return self.loss_D

    def compute_G_loss(self):
        self.loss_G_GAN = self.gan_loss(self.netD, self.fake_B)
        self.loss_NCE = self.loss_NCE_Y = 0.0
        if self.with_identity:
            self.encode_ahead(self.netG, self.fake_B, self.idt_B)
        if self.opt.lambda_NCE > 0:
            self.loss_NCE = self.calculate_NCE_loss(self.real_A, self.fake_B)
        if self.with_identity:
            self.loss_NCE_Y = self.calculate_NCE_loss(self.real_B, self.idt_B)
        mean_NCE = (self.loss_NCE + self.loss_NCE_Y) / 2 if self.with_identity else self.loss_NCE
        self.loss_G = self.loss_G_GAN + mean_NCE
        return self.loss_G

    def calculate_NCE_loss(self, src, tgt):
        """lambda_NCE PatchNCE(tgt, src): `tgt` is the translation of `src`."""
        feat_q, feat_k = self.queries(self.netG, tgt), self.keys(self.netG, src)
        return self.nce(self.netF, feat_q, self.netF, feat_k) * self.opt.lambda_NCE

    def optimize_parameters(self):
        self.run_forward()
        self.step([self.optimizer_D], self.compute_D_loss)
        self.step([self.optimizer_G, self.optimizer_F], self.compute_G_loss, frozen=[self.netD])
