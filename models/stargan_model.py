"""StarGAN: unified generative adversarial networks for multi-domain image-to-image translation.

Choi, Choi, Kim, Ha, Kim, Choo, CVPR 2018. One generator G(x, c) translates x into an image of the domains c. The
discriminator D has two outputs: D_src, real or generated, and D_cls, the domains of the image.

    L_D = -E D_src(x) + E D_src(G(x, c')) + lambda_gp E (|grad D_src(x^)| - 1)^2
          + lambda_cls CE(D_cls(x), c)                                                           (eqs. 5, 2, 8)
    L_G = -E D_src(G(x, c')) + lambda_cls CE(D_cls(G(x, c')), c') + lambda_rec |x - G(G(x, c'), c)|  (eqs. 6, 3, 4)

c are the domains of x, c' those of another image of the batch, x^ is a random mixture of x and G(x, c'). G is updated
in every n_critic-th iteration. The reported terms are without their weights, as released.
"""

import warnings

import torch
from torch.nn.functional import l1_loss

from models import flags, losses, networks
from models.builders import adam
from models.multi_domain import MultiDomainModel, check_stargan
from util.numerics.precision import full_precision


class StarGANModel(MultiDomainModel):
    in_parts = True  # no loss compares samples, so --accumulate may split a batch
    captures = ("real_A", "label_org", "label_trg", "c_org", "c_trg")  # see BaseModel
    generator_names = ("G",)
    discriminator_losses = {"D": ("D/loss_real", "D/loss_fake")}

    modify_commandline_options = staticmethod(flags.stargan)

    def __init__(self, opt):
        check_stargan(opt)
        super().__init__(opt)
        self.iteration = 0
        self.loss_names = ["D/loss_real", "D/loss_fake", "D/loss_cls", "D/loss_gp"]
        self.model_names = ["G", "D"] if self.isTrain else ["G"]
        # Both networks keep PyTorch's own initialisation, as released.
        self.netG = networks.StarGANGenerator(opt.g_conv_dim, self.labels.width, opt.g_repeat_num, opt.input_nc)
        self.netD = self.discriminator() if self.isTrain else None
        if self.isTrain:
            self.optimizer_G = adam(self.netG.parameters(), lr=opt.g_lr, betas=(opt.beta1, opt.beta2))
            self.optimizer_D = adam(self.netD.parameters(), lr=opt.d_lr, betas=(opt.beta1, opt.beta2))
            self.optimizers = [self.optimizer_G, self.optimizer_D]

    def discriminator(self):
        opt, domains = self.opt, len(self.labels.names)
        net = networks.StarGANDiscriminator(opt.image_size, opt.d_conv_dim, domains, opt.d_repeat_num, opt.input_nc)
        return self.as_discriminator(net, opt.input_nc)

    def set_input(self, input):
        super().set_input(input)
        if self.isTrain:
            self.iteration += self.labels.starts_iteration(self.label)

    def draw_gp_alpha(self, batch_size):
        """The share of each real image in x^: (batch_size, 1, 1, 1)."""
        return torch.rand(batch_size, 1, 1, 1, device=self.device)

    def forward(self):
        self.fake_B = self.netG(self.real_A, self.c_trg)

    def discriminator_loss(self):
        (src_real, domains), (src_fake, _) = self.batched(self.netD, self.real_A, self.fake_B.detach())
        self.loss_D_loss_real, self.loss_D_loss_fake = -src_real.mean(), src_fake.mean()
        self.loss_D_loss_cls = self.labels.classification_loss(domains, self.label_org)
        loss = self.loss_D_loss_real + self.loss_D_loss_fake + self.opt.lambda_cls * self.loss_D_loss_cls
        return loss if self._own.separate_gp else loss + self.penalty_loss()

    def penalty_loss(self):
        alpha = self.draw_gp_alpha(len(self.real_A))
        x_hat = (alpha * self.real_A + (1 - alpha) * self.fake_B.detach()).requires_grad_()
        with full_precision():
            self.loss_D_loss_gp = losses.slope_penalty(self.netD(x_hat)[0], x_hat)
        penalty = self.opt.lambda_gp * self.loss_D_loss_gp
        if self._own.separate_gp:
            # The penalty does not depend on the biases. This term makes their gradients 0 instead of None, so that
            # Adam's momentum moves them, as released.
            penalty = penalty + 0 * sum(p.sum() for name, p in self.netD.main.named_parameters() if "bias" in name)
        return penalty

    def generator_loss(self):
        src_fake, domains = self.netD(self.fake_B)
        rec_A = self.netG(self.fake_B, self.c_org)
        self.loss_G_loss_fake = -src_fake.mean()
        self.loss_G_loss_rec = l1_loss(rec_A, self.real_A)
        self.loss_G_loss_cls = self.labels.classification_loss(domains, self.label_trg)
        if "G/loss_fake" not in self.loss_names:  # from the first update on, the last values are reported
            self.loss_names += ["G/loss_fake", "G/loss_rec", "G/loss_cls"]
        weighted = self.opt.lambda_rec * self.loss_G_loss_rec + self.opt.lambda_cls * self.loss_G_loss_cls
        return self.loss_G_loss_fake + weighted

    def decide(self):
        return {**super().decide(), "updates_G": self.iteration % self.opt.n_critic == 0}

    def optimize_parameters(self):
        updates_G = self.decided("updates_G")
        # The original runs G again for its own update. Only D has changed by then, so the images would be the same;
        # counted() updates the running statistics of G's norms twice, as two passes do.
        with torch.set_grad_enabled(updates_G), networks.counted(self.netG, 2 if updates_G else 1):
            self.run_forward()
        self.step([self.optimizer_D], self.discriminator_loss)
        if self._own.separate_gp:
            self.step([self.optimizer_D], self.penalty_loss)
        if updates_G:
            self.step([self.optimizer_G], self.generator_loss, frozen=[self.netD])

    def update_learning_rate(self):
        with warnings.catch_warnings():
            # G has no update in the first n_critic iterations, and PyTorch warns of a schedule that is stepped before.
            warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step")
            super().update_learning_rate()

    def eval(self):
        """Does nothing, as released: in eval mode the norms would use their running statistics."""

    def state_dict(self):
        return {**super().state_dict(), "iteration": self.iteration}

    def load_state_dict(self, state):
        super().load_state_dict(state)
        self.iteration = state["iteration"]
