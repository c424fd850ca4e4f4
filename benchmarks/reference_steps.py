"""The originals' steps of pix2pix and CycleGAN, and what the other steps share with them. See reference.py."""

import copy
import itertools
import random

import torch
import torch.nn.functional as F
from torch import nn

from models.architectures import adjustable, stargan
from models.losses import GANLoss
from util.numerics.precision import Precision

# Layers of this project that compute in another way what a layer of torch computes.
PLAIN = {
    adjustable.InstanceNorm2d: nn.InstanceNorm2d,
    adjustable.ReflectionPad2d: nn.ReflectionPad2d,
    adjustable.ReplicationPad2d: nn.ReplicationPad2d,
    adjustable.NarrowConv2d: nn.Conv2d,
    stargan.Kink: nn.LeakyReLU,
}


def plain(net):
    """A copy of the network, made of torch's own layers."""
    net = copy.deepcopy(net)
    for module in net.modules():
        module.__class__ = PLAIN.get(type(module), type(module))
    return net


class Reference:
    """The step of an original program. `model`: ours, from which networks and options are taken.

    ``losses`` {name: tensor} holds the reported losses of the last step. With ``waits`` False the step leaves out what
    makes the host wait for the device: reading losses, patch positions that are drawn on the host, a detour over it.
    """

    waits = True

    def __init__(self, model):
        self.opt, self.device = model.opt, model.device
        self.names = list(model.networks_by_name())
        for name, net in model.networks_by_name().items():
            setattr(self, f"net{name}", plain(net))
        self.optimizers, self.losses = [], {}
        self._precision = Precision("fp32", model.device)  # fake_cuda.move() takes a Reference for a model
        if hasattr(self.opt, "gan_mode"):
            self.criterionGAN = GANLoss(self.opt.gan_mode).to(self.device)
        self.make_optimizers()

    def networks_by_name(self):
        return {name: getattr(self, f"net{name}") for name in self.names}

    def adam(self, *nets, **settings):
        opt = self.opt
        parameters = itertools.chain(*(net.parameters() for net in nets))
        settings = settings or {"lr": opt.lr, "betas": (opt.beta1, opt.beta2)}
        self.optimizers.append(torch.optim.Adam(parameters, **settings))
        return self.optimizers[-1]

    def set_input(self, batch):
        self.real_A, self.real_B = batch["A"].to(self.device), batch["B"].to(self.device)

    def gan(self, prediction, is_real):
        if self.opt.gan_mode != "hinge":
            return self.criterionGAN(prediction, is_real)
        margin = prediction - 1 if is_real else -prediction - 1
        return -torch.mean(torch.min(margin, torch.zeros_like(prediction)))

    def half_sum(self, netD, real, fake, fake_first=False):
        """Half the sum of the two losses of a discriminator, a pass for each of the two batches."""
        if fake_first:
            loss_fake, loss_real = self.gan(netD(fake), False), self.gan(netD(real), True)
        else:
            loss_real, loss_fake = self.gan(netD(real), True), self.gan(netD(fake), False)
        return (loss_real + loss_fake) * 0.5, loss_real, loss_fake

    def read(self, losses):
        """Keep the losses. StarGAN's original reads them in every step, the others every 100 images."""
        self.losses.update(losses)


def toggle(nets, requires_grad):
    for net in nets:
        for parameter in net.parameters():
            parameter.requires_grad = requires_grad


class Pool:
    """The 50 earlier images that a discriminator may get in the place of a new one."""

    def __init__(self, pool_size):
        self.pool_size, self.images = pool_size, []

    def query(self, images):
        if self.pool_size == 0:
            return images
        result = []
        for image in images.data:
            image = image.unsqueeze(0)
            if len(self.images) < self.pool_size:
                self.images.append(image)
                result.append(image)
            elif random.uniform(0, 1) > 0.5:
                place = random.randint(0, self.pool_size - 1)
                result.append(self.images[place].clone())
                self.images[place] = image
            else:
                result.append(image)
        return torch.cat(result, 0)


class Pix2Pix(Reference):
    def make_optimizers(self):
        self.optimizer_G, self.optimizer_D = self.adam(self.netG), self.adam(self.netD)

    def optimize_parameters(self):
        fake_B = self.netG(self.real_A)
        toggle([self.netD], True)
        self.optimizer_D.zero_grad()
        pair, real = torch.cat((self.real_A, fake_B), 1), torch.cat((self.real_A, self.real_B), 1)
        loss_D, loss_real, loss_fake = self.half_sum(self.netD, real, pair.detach(), fake_first=True)
        loss_D.backward()
        self.optimizer_D.step()
        toggle([self.netD], False)
        self.optimizer_G.zero_grad()
        loss_GAN = self.gan(self.netD(torch.cat((self.real_A, fake_B), 1)), True)
        loss_L1 = F.l1_loss(fake_B, self.real_B) * self.opt.lambda_L1
        (loss_GAN + loss_L1).backward()
        self.optimizer_G.step()
        self.read({"G_GAN": loss_GAN, "G_L1": loss_L1, "D_real": loss_real, "D_fake": loss_fake})


class TwoWay(Reference):
    """Two generators and two discriminators with their pools."""

    def make_optimizers(self):
        self.optimizer_G = self.adam(self.netG_A, self.netG_B)
        self.optimizer_D = self.adam(self.netD_A, self.netD_B)
        self.pool_A, self.pool_B = Pool(self.opt.pool_size), Pool(self.opt.pool_size)

    def update_D(self, fake_A, fake_B):
        """Both discriminators; returns their losses."""
        toggle([self.netD_A, self.netD_B], True)
        self.optimizer_D.zero_grad()
        loss_A = self.half_sum(self.netD_A, self.real_B, self.pool_B.query(fake_B).detach())[0]
        loss_A.backward()
        loss_B = self.half_sum(self.netD_B, self.real_A, self.pool_A.query(fake_A).detach())[0]
        loss_B.backward()
        self.optimizer_D.step()
        return loss_A, loss_B


class CycleGAN(TwoWay):
    def optimize_parameters(self):
        opt, losses = self.opt, {}
        fake_B = self.netG_A(self.real_A)
        rec_A = self.netG_B(fake_B)
        fake_A = self.netG_B(self.real_B)
        rec_B = self.netG_A(fake_A)
        toggle([self.netD_A, self.netD_B], False)
        self.optimizer_G.zero_grad()
        losses["idt_A"] = losses["idt_B"] = 0.0
        if opt.lambda_identity > 0:
            idt_A, idt_B = self.netG_A(self.real_B), self.netG_B(self.real_A)
            losses["idt_A"] = F.l1_loss(idt_A, self.real_B) * opt.lambda_B * opt.lambda_identity
            losses["idt_B"] = F.l1_loss(idt_B, self.real_A) * opt.lambda_A * opt.lambda_identity
        losses["G_A"] = self.gan(self.netD_A(fake_B), True)
        losses["G_B"] = self.gan(self.netD_B(fake_A), True)
        losses["cycle_A"] = F.l1_loss(rec_A, self.real_A) * opt.lambda_A
        losses["cycle_B"] = F.l1_loss(rec_B, self.real_B) * opt.lambda_B
        sum(losses.values()).backward()
        self.optimizer_G.step()
        losses["D_A"], losses["D_B"] = self.update_D(fake_A, fake_B)
        self.read(losses)
