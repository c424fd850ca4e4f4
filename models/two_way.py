"""What two-sided models share: two generators, two discriminators and the losses of the discriminators."""

from models import losses, networks
from models.base_model import BaseModel
from models.legacy import backward_verb
from util.errors import InputError
from util.image_pool import ImagePool


class TwoWayModel(BaseModel):
    """G_A: A -> B with D_A, a discriminator on B; G_B: B -> A with D_B, a discriminator on A.

    At test one side may be missing (a folder with only testA); only the other side is then translated.
    """

    generator_names = ("G_A", "G_B")
    scored_visuals = {"fake_B": ("real_A", "real_B"), "fake_A": ("real_B", "real_A")}
    discriminator_losses = {"D_A": ("D_A",), "D_B": ("D_B",)}
    pool_names = ("fake_A_pool", "fake_B_pool")
    reported_weight_D = 1  # reported loss of a discriminator / its optimised loss

    def __init__(self, opt):
        super().__init__(opt)
        self.model_names = ["G_A", "G_B", "D_A", "D_B"] if self.isTrain else ["G_A", "G_B"]
        self.netG_A = self.make_G(opt.input_nc, opt.output_nc)
        self.netG_B = self.make_G(opt.output_nc, opt.input_nc)
        if self.isTrain:
            self.netD_A = self.make_D(opt.output_nc)
            self.netD_B = self.make_D(opt.input_nc)
            self.criterionGAN = networks.GANLoss(opt.gan_mode).to(self.device)
            self.fake_A_pool = ImagePool(opt.pool_size)
            self.fake_B_pool = ImagePool(opt.pool_size)
            self.optimizer_G = self.make_adam(self.netG_A, self.netG_B, rate="lr_G")
            self.optimizer_D = self.make_adam(self.netD_A, self.netD_B, rate="lr_D")
            self.optimizers = [self.optimizer_G, self.optimizer_D]

    def set_input(self, input):
        self.real_A, self.real_B = self.sides(input)

    def translate(self, images, direction=None):
        """G_A translates in the direction of the run (None or --direction), G_B in the other direction."""
        if direction not in (None, "AtoB", "BtoA"):
            raise InputError(f"direction {direction}: choose AtoB or BtoA")
        if direction in (None, self.opt.direction):
            return {"fake_B": self.netG_A(images)}
        return {"fake_A": self.netG_B(images)}

    @backward_verb
    def backward_D_basic(self, netD, real, fake):
        """The mean of the losses on real and on generated images, plus the gradient penalty of --lambda_gp."""
        fake = fake.detach()
        pred_real, pred_fake = self.batched(netD, real, fake)
        loss, _, _ = losses.discriminator_loss(self.criterionGAN, pred_real, pred_fake, self._own.label_smoothing)
        return loss + self.gradient_penalty(netD, real, fake)

    @backward_verb
    def backward_D_A(self):
        loss = self.backward_D_basic(self.netD_A, self.real_B, self.fake_B_pool.query(self.fake_B))
        self.loss_D_A = loss * self.reported_weight_D
        return loss

    @backward_verb
    def backward_D_B(self):
        loss = self.backward_D_basic(self.netD_B, self.real_A, self.fake_A_pool.query(self.fake_A))
        self.loss_D_B = loss * self.reported_weight_D
        return loss
