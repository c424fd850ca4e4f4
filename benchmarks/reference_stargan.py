"""The original's step of StarGAN. See reference.py."""

import torch
import torch.nn.functional as F
from reference_steps import Reference


class StarGAN(Reference):
    """With attributes (CelebA), the generator's step in every n_critic-th iteration."""

    def make_optimizers(self):
        opt, betas = self.opt, (self.opt.beta1, self.opt.beta2)
        self.optimizer_G = self.adam(self.netG, lr=opt.g_lr, betas=betas)
        self.optimizer_D = self.adam(self.netD, lr=opt.d_lr, betas=betas)
        self.iteration = 0

    def set_input(self, batch):
        self.real_A = batch["A"].to(self.device)
        label = batch["label"]
        to_device = {"device": self.device, "non_blocking": not self.waits}
        self.label_org, self.c_org = label.to(**to_device), label.clone().to(**to_device)
        target = self.draw_target_labels(label)
        self.label_trg, self.c_trg = target.to(**to_device), target.clone().to(**to_device)

    def draw_target_labels(self, label):
        return label[torch.randperm(len(label))]

    def draw_alpha(self, number):
        return torch.rand(number, 1, 1, 1, device=self.device)

    def domain_loss(self, logits, label):
        return F.binary_cross_entropy_with_logits(logits, label, reduction="sum") / len(logits)

    def penalty(self, fake):
        alpha = self.draw_alpha(len(fake))
        between = (alpha * self.real_A.data + (1 - alpha) * fake.data).requires_grad_(True)
        logits, _ = self.netD(between)
        ones = torch.ones_like(logits)
        [slope] = torch.autograd.grad(logits, between, ones, retain_graph=True, create_graph=True)
        norm = torch.sqrt(torch.sum(slope.view(len(slope), -1) ** 2, dim=1))
        return torch.mean((norm - 1) ** 2)

    def update(self, optimizer, loss):
        for each in self.optimizers:
            each.zero_grad()
        loss.backward()
        optimizer.step()

    def optimize_parameters(self):
        opt = self.opt
        self.iteration += 1
        logits, domains = self.netD(self.real_A)
        losses = {"D/loss_real": -torch.mean(logits), "D/loss_cls": self.domain_loss(domains, self.label_org)}
        fake = self.netG(self.real_A, self.c_trg)
        logits, _ = self.netD(fake.detach())
        losses["D/loss_fake"], losses["D/loss_gp"] = torch.mean(logits), self.penalty(fake)
        weighted = opt.lambda_cls * losses["D/loss_cls"] + opt.lambda_gp * losses["D/loss_gp"]
        self.update(self.optimizer_D, losses["D/loss_real"] + losses["D/loss_fake"] + weighted)
        self.read(losses)
        if self.iteration % opt.n_critic == 0:
            fake = self.netG(self.real_A, self.c_trg)
            logits, domains = self.netD(fake)
            rec_A = self.netG(fake, self.c_org)
            losses = {"G/loss_fake": -torch.mean(logits), "G/loss_rec": torch.mean(torch.abs(self.real_A - rec_A))}
            losses["G/loss_cls"] = self.domain_loss(domains, self.label_trg)
            weighted = opt.lambda_rec * losses["G/loss_rec"] + opt.lambda_cls * losses["G/loss_cls"]
            self.update(self.optimizer_G, losses["G/loss_fake"] + weighted)
            self.read(losses)

    def read(self, losses):
        super().read({name: loss.item() for name, loss in losses.items()} if self.waits else losses)
