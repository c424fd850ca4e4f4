"""StarGAN: unified generative adversarial networks for multi-domain image-to-image translation.

Choi, Choi, Kim, Ha, Kim, Choo, CVPR 2018. One generator G(x, c) makes x into an image of the domains c. The critic D
has two heads: is it real (src), and which domains does it show (cls)?

    L_D = -E D_src(x) + E D_src(G(x, c')) + lambda_gp E (|grad D_src(x^)| - 1)^2
          + lambda_cls CE(D_cls(x), c)                                                           (eqs. 5, 2, 8)
    L_G = -E D_src(G(x, c')) + lambda_rec |x - G(G(x, c'), c)| + lambda_cls CE(D_cls(G(x, c')), c')  (eqs. 6, 4, 3)

c are the domains of x, c' those of another image of the batch, x^ lies between x and G(x, c'). G moves in every
n_critic-th iteration. What is reported are the terms without their weights, as released.
"""

import os
import warnings
from collections import OrderedDict

import torch
from torch.nn.functional import l1_loss, one_hot

from models import flags, losses, networks
from models.base_model import BaseModel
from models.builders import adam
from models.economies import run_batches
from models.flags import check_stargan
from models.stargan_targets import Targets
from util.errors import InputError
from util.numerics import seeding
from util.numerics.precision import full_precision
from util.processes import distributed
from util.run import weights

SHOWN = 8  # rows of the pictures during training


class StarGANModel(BaseModel):
    in_parts = True  # see --accumulate
    generator_names = ("G",)
    discriminator_losses = {"D": ("D/loss_real", "D/loss_fake")}

    modify_commandline_options = staticmethod(flags.stargan)

    def __init__(self, opt):
        super().__init__(opt)
        check_stargan(opt)
        self.targets = Targets(opt.selected_attrs, opt.domains, opt.exclusive_attrs)
        self.wanted = self.targets.parse(None if self.isTrain else opt.targets)
        self.iteration = 0
        self.shown = None  # images and attributes of the first batch: their translations are what training shows
        self.loss_names = ["D/loss_real", "D/loss_fake", "D/loss_cls", "D/loss_gp"]
        self.model_names = ["G", "D"] if self.isTrain else ["G"]
        # Both keep PyTorch's own initialisation, as released.
        self.netG = networks.StarGANGenerator(opt.g_conv_dim, self.targets.width, opt.g_repeat_num, opt.input_nc)
        self.netD = self.make_critic() if self.isTrain else None
        if self.isTrain:
            betas = opt.beta1, opt.beta2
            self.optimizer_G = adam(self.netG.parameters(), lr=opt.g_lr, betas=betas)
            self.optimizer_D = adam(self.netD.parameters(), lr=opt.d_lr, betas=betas)
            self.optimizers = [self.optimizer_G, self.optimizer_D]

    def make_critic(self):
        opt, domains = self.opt, len(self.targets.attributes) + len(self.targets.domains)
        return networks.StarGANDiscriminator(opt.image_size, opt.d_conv_dim, domains, opt.d_repeat_num, opt.input_nc)

    # --- a batch -----------------------------------------------------------------------------------------------------

    def set_input(self, input):
        self.real_A = input["A"].to(self.device, non_blocking=True)
        self.image_paths = input["A_paths"]
        self.label = input.get("label")
        if self.isTrain:
            self.set_labels(self.label)

    def set_labels(self, label):
        """Labels and conditions of the batch, prepared where the loader left them: nothing waits for the device."""
        self.check_label(label)
        # Two data sets take turns, so an iteration is two batches, the first of them with attributes.
        if not self.targets.both or label[0, -2] == 1:
            self.iteration += 1
        target = self.draw_target_labels(label)
        conditions = self.as_condition(label), self.as_condition(target)
        self.label_org, self.label_trg = (each.to(self.device, non_blocking=True) for each in (label, target))
        self.c_org, self.c_trg = (each.to(self.device, non_blocking=True) for each in conditions)
        names = ("real_A", "image_paths", "label_org", "label_trg", "c_org", "c_trg")
        self.keep_batch({name: getattr(self, name) for name in names})
        if self.shown is None:
            self.shown = self.real_A[:SHOWN].clone(), self.c_org[:SHOWN, : len(self.targets.attributes)].clone()

    def take_part(self, part):
        """A micro-batch of --accumulate, with the targets that were drawn over the whole batch."""
        for name, value in part.items():
            setattr(self, name, value)

    def check_label(self, label):
        if label is None:
            raise InputError(f"--dataset_mode {self.opt.dataset_mode}: its images have no labels; see celeba")
        width, wanted = label.shape[1] if label.dim() == 2 else int(label.max()) + 1, self.targets.width
        if width != wanted if label.dim() == 2 else width > wanted or self.targets.attributes:
            raise InputError(
                f"{self.image_paths[0]}: its label does not go with --c_dim {self.opt.c_dim}: it says {width} numbers "
                f"or more, and the model was made for {wanted}; compare --dataset_mode with the data"
            )

    def as_condition(self, label):
        return label if label.is_floating_point() else one_hot(label, self.targets.width).float()

    def draw_target_labels(self, labels):
        """Where each image is to go: the labels of the step, of all processes, in another order; maybe its own."""
        everywhere, first = distributed.concatenate_in_rank_order(labels)
        order = torch.randperm(len(everywhere), generator=seeding.shared(labels.device), device=labels.device)
        return everywhere[order[first : first + len(labels)]]

    def draw_gp_alpha(self, batch_size):
        """How much of each real image goes into x^: (batch_size, 1, 1, 1)."""
        return torch.rand(batch_size, 1, 1, 1, device=self.device)

    # --- a step ------------------------------------------------------------------------------------------------------

    def forward(self):
        if self.isTrain:
            self.fake_B = self.netG(self.real_A, self.c_trg)
        else:
            self.translations = self.translate(self.real_A, self.find_attributes())

    def optimize_parameters(self):
        turn = self.iteration % self.opt.n_critic == 0  # the generator's, too
        # The original makes this image once more for the generator's step. It comes out the same, since only D moves
        # in between; the running statistics of the norms count it twice, to stay what they are there.
        with torch.set_grad_enabled(turn), networks.counted(self.netG, 2 if turn else 1):
            self.run_forward()
        self.step([self.optimizer_D], self.critic_loss)
        if self.opt.separate_gp:
            self.step([self.optimizer_D], self.penalty_loss)
        if turn:
            self.step([self.optimizer_G], self.generator_loss, frozen=[self.netD])

    def critic_loss(self):
        batches = [self.real_A, self.fake_B.detach()]
        (real, domains), (fake, _) = run_batches(self.netD, batches, self._passes.may_share(self.netD))
        self.loss_D_loss_real, self.loss_D_loss_fake = -real.mean(), fake.mean()
        self.loss_D_loss_cls = self.classification_loss(domains, self.label_org)
        loss = self.loss_D_loss_real + self.loss_D_loss_fake + self.opt.lambda_cls * self.loss_D_loss_cls
        return loss if self.opt.separate_gp else loss + self.penalty_loss()

    def penalty_loss(self):
        alpha = self.draw_gp_alpha(len(self.real_A))
        between = (alpha * self.real_A + (1 - alpha) * self.fake_B.detach()).requires_grad_()
        with full_precision():
            self.loss_D_loss_gp = losses.slope_penalty(self.netD(between)[0], between)
        penalty = self.opt.lambda_gp * self.loss_D_loss_gp
        if self.opt.separate_gp:
            # The slope does not depend on the biases. They get gradients of 0 instead of none, so that Adam moves them
            # on by their momentum, as released.
            penalty = penalty + 0 * sum(p.sum() for name, p in self.netD.main.named_parameters() if "bias" in name)
        return penalty

    def generator_loss(self):
        fake, domains = self.netD(self.fake_B)
        rec_A = self.netG(self.fake_B, self.c_org)
        self.loss_G_loss_fake = -fake.mean()
        self.loss_G_loss_rec = l1_loss(rec_A, self.real_A)
        self.loss_G_loss_cls = self.classification_loss(domains, self.label_trg)
        if "G/loss_fake" not in self.loss_names:  # from here on there is something to report, if of up to n_critic ago
            self.loss_names += ["G/loss_fake", "G/loss_rec", "G/loss_cls"]
        weighted = self.opt.lambda_rec * self.loss_G_loss_rec + self.opt.lambda_cls * self.loss_G_loss_cls
        return self.loss_G_loss_fake + weighted

    def classification_loss(self, logits, label):
        if self.targets.both:
            return losses.masked_classification_loss(logits, label, len(self.targets.attributes))
        return losses.classification_loss(logits, label)

    def update_learning_rate(self):
        with warnings.catch_warnings():
            # The generator has not moved yet in the first n_critic iterations; its rate has no need to wait for it.
            warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step")
            super().update_learning_rate()

    # --- pictures ----------------------------------------------------------------------------------------------------

    def translate(self, images, attributes):
        """Target -> images: a column for each target, with one row per image."""
        return {name: self.netG(images, self.targets.condition(name, attributes)) for name in self.wanted}

    def find_attributes(self):
        """(N, attributes) of the input as labelled; where no label says them, as the critic sees them."""
        count = len(self.targets.attributes)
        if not any(map(self.targets.needs_attributes, self.wanted)):
            return self.real_A.new_zeros(len(self.real_A), count)
        if self.label is None:
            return self.recognise()
        label = self.label.to(self.device)
        known = label[:, -2:-1] > 0 if self.targets.both else torch.ones_like(label[:, :1], dtype=torch.bool)
        return label[:, :count] if known.all() else torch.where(known, label[:, :count], self.recognise())

    def recognise(self):
        """(N, attributes) of 0 and 1: what the critic takes the input for."""
        if self.netD is None:
            path = os.path.join(self.save_dir, f"{weights.tag_of(self.opt)}_net_D.pth")
            if not os.path.exists(path):
                target = next(filter(self.targets.needs_attributes, self.wanted))
                raise InputError(
                    f"{self.image_paths[0]}: without labels, but --targets {target} needs to know its attributes, to "
                    f"keep or to flip them: give --attr_path, or the critic, which can see them ({path})"
                )
            print(f"no labels: the attributes to keep and to flip are those that the critic sees ({path})")
            self.netD = self.make_critic().to(self.device)
            weights.load_weights(self.netD, path)
        return (self.netD(self.real_A)[1][:, : len(self.targets.attributes)] > 0).float()

    def compute_visuals(self):
        if self.isTrain:
            # These passes must not leave a trace in the running statistics.
            with torch.no_grad(), networks.counted(self.netG, 0):
                self.translations = self.translate(*self.shown)

    def get_current_visuals(self):
        """Columns: the input, then every target; in training one tall picture each, the same images every time."""
        images = self.shown[0] if self.isTrain else self.real_A
        columns = OrderedDict(real_A=images, **self.translations)
        if not self.isTrain:
            return columns
        return OrderedDict((name, torch.cat(tuple(column), dim=1)[None]) for name, column in columns.items())

    def eval(self):
        """Nothing: in eval mode the norms would use running statistics, and make other pictures than in training."""

    # --- for a resumed run --------------------------------------------------------------------------------------------

    def state_dict(self):
        return {"iteration": self.iteration, "shown": self.shown}

    def load_state_dict(self, state):
        self.iteration = state["iteration"]
        self.shown = state["shown"] and tuple(each.to(self.device) for each in state["shown"])
