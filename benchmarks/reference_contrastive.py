"""The originals' steps of CUT, FastCUT, DCLGAN and SimDCL. See reference.py."""

import numpy as np
import torch
import torch.nn.functional as F
from reference_steps import Reference, TwoWay, toggle

MASKED = -10.0  # instead of the score of a patch with itself among its negatives


class Contrastive(Reference):
    """Patches of feature maps, projected and compared."""

    def draw_ids(self, positions):
        """The originals of DCLGAN draw on the device."""
        return torch.randperm(positions, device=self.device)[: self.opt.num_patches]

    def draw_flip(self):
        return np.random.random() < 0.5

    def encode(self, netG, images):
        return netG(images, self.layers, encode_only=True)

    @property
    def layers(self):
        return [int(word) for word in self.opt.nce_layers.split(",")]

    def sample(self, netF, features, ids=None):
        """(unit vectors of patches of every feature map, their positions), drawn unless given."""
        vectors, places = [], []
        for number, feature in enumerate(features):
            rows = feature.permute(0, 2, 3, 1).flatten(1, 2)  # (N, H*W, C)
            places.append(self.draw_ids(rows.shape[1]) if ids is None else ids[number])
            patches = rows[:, places[-1], :].flatten(0, 1)  # (N*P, C)
            projected = getattr(netF, f"mlp_{number}")(patches)
            length = projected.pow(2).sum(1, keepdim=True).pow(0.5)
            vectors.append(projected / (length + 1e-7))
        return vectors, places

    def cross_entropy(self, own, scores):
        """Of every query: its own key, (rows, 1), among all keys of its group, (groups, P, P)."""
        places = scores.shape[1]
        itself = torch.eye(places, device=scores.device, dtype=torch.bool)[None]
        scores.masked_fill_(itself, MASKED)
        logits = torch.cat((own, scores.view(-1, places)), dim=1) / self.opt.nce_T
        target = torch.zeros(len(logits), dtype=torch.long, device=logits.device)
        return F.cross_entropy(logits, target, reduction="none")

    def by_product(self, q, k):
        """CUT's PatchNCE, of the patches of each image."""
        k = k.detach()
        own = torch.bmm(q.view(len(q), 1, -1), k.view(len(k), -1, 1)).view(-1, 1)
        q, k = (vectors.view(self.opt.batch_size, -1, vectors.shape[1]) for vectors in (q, k))
        return self.cross_entropy(own, torch.bmm(q, k.transpose(2, 1)))

    def by_cosine(self, q, k):
        """DCLGAN's PatchNCE, of all patches of the batch: every pair is repeated in memory."""
        k = k.detach()
        own = F.cosine_similarity(q, k, dim=1, eps=1e-8).view(-1, 1)
        pairs = F.cosine_similarity(q.unsqueeze(1), k.unsqueeze(0), dim=2, eps=1e-8)  # (rows, rows)
        return self.cross_entropy(own, pairs[None])


class CUT(Contrastive):
    def make_optimizers(self):
        self.optimizer_G, self.optimizer_D = self.adam(self.netG), self.adam(self.netD)
        self.optimizer_F = self.adam(self.netF)

    def draw_ids(self, positions):
        if not self.waits:
            return super().draw_ids(positions)
        drawn = np.random.permutation(positions)[: self.opt.num_patches]
        return torch.tensor(drawn, dtype=torch.long, device=self.device)

    def optimize_parameters(self):
        opt = self.opt
        images = torch.cat((self.real_A, self.real_B), 0) if opt.nce_idt else self.real_A
        self.flipped = opt.flip_equivariance and self.draw_flip()
        if self.flipped:
            images = torch.flip(images, [3])
        made = self.netG(images)
        fake_B, idt_B = made[: len(self.real_A)], made[len(self.real_A) :]
        toggle([self.netD], True)
        self.optimizer_D.zero_grad()
        loss_D, loss_real, loss_fake = self.half_sum(self.netD, self.real_B, fake_B.detach(), fake_first=True)
        loss_D.backward()
        self.optimizer_D.step()

        toggle([self.netD], False)
        self.optimizer_G.zero_grad()
        self.optimizer_F.zero_grad()
        losses = {"D_real": loss_real, "D_fake": loss_fake}
        losses["G_GAN"] = self.gan(self.netD(fake_B), True).mean() * opt.lambda_GAN
        both = losses["NCE"] = self.nce(self.real_A, fake_B)
        if opt.nce_idt:
            losses["NCE_Y"] = self.nce(self.real_B, idt_B)
            both = (losses["NCE"] + losses["NCE_Y"]) * 0.5
        losses["G"] = losses["G_GAN"] + both
        losses["G"].backward()
        self.optimizer_G.step()
        self.optimizer_F.step()
        self.read(losses)

    def nce(self, source, target):
        q, k = self.encode(self.netG, target), self.encode(self.netG, source)
        if self.flipped:
            q = [torch.flip(feature, [3]) for feature in q]
        k, ids = self.sample(self.netF, k)
        q, _ = self.sample(self.netF, q, ids)
        total = 0.0
        for q_i, k_i in zip(q, k):
            total = total + (self.by_product(q_i, k_i) * self.opt.lambda_NCE).mean()
        return total / len(q)


class DCLGAN(Contrastive, TwoWay):
    reported_D = None  # weight of the reported losses of the discriminators; None: lambda_GAN

    def make_optimizers(self):
        super().make_optimizers()
        self.make_optimizer_F()

    def make_optimizer_F(self):
        self.optimizer_F = self.adam(self.netF1, self.netF2, lr=1e-3)  # Adam's own settings, as released

    def optimize_parameters(self):
        fake_B, fake_A = self.netG_A(self.real_A), self.netG_B(self.real_B)
        if self.opt.nce_idt:
            idt_A, idt_B = self.netG_A(self.real_B), self.netG_B(self.real_A)
        weight = self.opt.lambda_GAN if self.reported_D is None else self.reported_D
        reported = [loss * weight for loss in self.update_D(fake_A, fake_B)]

        toggle([self.netD_A, self.netD_B], False)
        self.optimizer_G.zero_grad()
        self.optimizer_F.zero_grad()
        losses = {"D_A": reported[0], "D_B": reported[1]}
        losses["G_A"] = self.gan(self.netD_A(fake_B), True).mean() * self.opt.lambda_GAN
        losses["G_B"] = self.gan(self.netD_B(fake_A), True).mean() * self.opt.lambda_GAN
        self.contrastive_losses(losses, fake_A, fake_B)
        total = (losses["G_A"] + losses["G_B"]) * 0.5 + (losses["NCE1"] + losses["NCE2"]) * 0.5
        if self.opt.nce_idt:
            losses["idt_A"] = F.l1_loss(idt_A, self.real_B) * self.opt.lambda_IDT
            losses["idt_B"] = F.l1_loss(idt_B, self.real_A) * self.opt.lambda_IDT
            total = total + (losses["idt_A"] + losses["idt_B"]) * 0.5
        losses["G"] = total + losses["Sim"] if "Sim" in losses else total
        losses["G"].backward()
        self.optimizer_G.step()
        self.optimizer_F.step()
        self.read(losses)

    def contrastive_losses(self, losses, fake_A, fake_B):
        way_1 = self.netF1, self.netG_A, self.real_A, self.netF2, self.netG_B, fake_B
        way_2 = self.netF2, self.netG_B, self.real_B, self.netF1, self.netG_A, fake_A
        for name, way in (("NCE1", way_1), ("NCE2", way_2)):
            q, k, _ = self.vectors(*way)
            losses[name] = self.mean_over_layers(q, k)

    def vectors(self, netF_k, netG_k, source, netF_q, netG_q, target):
        """(vectors of the translation's patches, of its source's, feature maps of the translation)."""
        features = self.encode(netG_q, target)
        k, ids = self.sample(netF_k, self.encode(netG_k, source))
        return self.sample(netF_q, features, ids)[0], k, features

    def mean_over_layers(self, q, k):
        total = 0.0
        for q_i, k_i in zip(q, k):
            total = total + self.by_cosine(q_i, k_i).mean() * self.opt.lambda_NCE
        return total / len(q)


class SimDCL(DCLGAN):
    reported_D = 1

    def make_optimizer_F(self):
        nets = (getattr(self, f"netF{number}") for number in range(1, 7))
        self.optimizer_F = self.adam(*nets)

    def contrastive_losses(self, losses, fake_A, fake_B):
        q, k, features = self.vectors(self.netF1, self.netG_A, self.real_A, self.netF2, self.netG_B, fake_B)
        losses["NCE1"] = self.mean_over_layers(q, k)
        real_A, fake_B = k, self.sample(self.netF2, features)[0]
        q, k, features = self.vectors(self.netF2, self.netG_B, self.real_B, self.netF1, self.netG_A, fake_A)
        losses["NCE2"] = self.mean_over_layers(q, k)
        real_B, fake_A = k, self.sample(self.netF1, features)[0]
        real_A, fake_B, real_B, fake_A = (self.stack(each) for each in (real_A, fake_B, real_B, fake_A))
        in_A = F.l1_loss(self.netF3(real_A), self.netF6(fake_A))
        in_B = F.l1_loss(self.netF4(fake_B), self.netF5(real_B))
        losses["Sim"] = (in_A + in_B) * self.opt.lambda_SIM

    def stack(self, vectors):
        """(layers, P, C) of a single image, by way of the host, as released."""
        stacked = torch.zeros(len(vectors), *vectors[0].shape, device="cpu" if self.waits else self.device)
        stacked = stacked.to(vectors[0].dtype)
        for number, each in enumerate(vectors):
            stacked[number] = each
        return stacked.to(self.device)
