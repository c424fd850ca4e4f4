"""Two generators and two critics: the wiring that two-sided models share. The losses belong to their pages."""

from models import losses, networks
from models.base_model import BaseModel
from util.image_pool import ImagePool


class TwoWayModel(BaseModel):
    """G_A: A -> B, judged by D_A among real B; G_B: B -> A, judged by D_B among real A.

    At test one side may be absent (a folder with only testA): the model then makes what it can.
    """

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
            self.optimizer_G = self.make_adam(self.netG_A, self.netG_B)
            self.optimizer_D = self.make_adam(self.netD_A, self.netD_B)
            self.optimizers = [self.optimizer_G, self.optimizer_D]

    def set_input(self, input):
        self.real_A, self.real_B = self.sides(input)

    def critics_loss(self):
        """Both critics, each on real images and on generated ones from its pool."""
        self.loss_D_A = self.critic_loss(self.netD_A, self.real_B, self.fake_B_pool.query(self.fake_B))
        self.loss_D_B = self.critic_loss(self.netD_B, self.real_A, self.fake_A_pool.query(self.fake_A))
        return self.loss_D_A + self.loss_D_B

    def critic_loss(self, netD, real, fake):
        """Reported and optimised: the two judgements' mean, plus the gradient penalty if asked for."""
        loss, _, _ = losses.critic_loss(self.criterionGAN, netD, real, fake, together=self.joins(netD))
        return loss + self.gradient_penalty(netD, real, fake)
