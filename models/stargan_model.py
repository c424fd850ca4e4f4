"""StarGAN: unified generative adversarial networks for multi-domain image-to-image translation.

Choi, Choi, Kim, Ha, Kim, Choo, CVPR 2018. One generator G(x, c) translates x into an image of the domains c. The
discriminator D has two outputs: D_src, real or generated, and D_cls, the domains of the image.

    L_D = -E D_src(x) + E D_src(G(x, c')) + lambda_gp E (|grad D_src(x^)| - 1)^2
          + lambda_cls CE(D_cls(x), c)                                                           (eqs. 5, 2, 8)
    L_G = -E D_src(G(x, c')) + lambda_rec |x - G(G(x, c'), c)| + lambda_cls CE(D_cls(G(x, c')), c')  (eqs. 6, 4, 3)

c are the domains of x, c' those of another image of the batch, x^ lies between x and G(x, c'). G is updated in every
n_critic-th iteration. The reported terms are without their weights, as released.
"""

import os
import warnings
from collections import OrderedDict

import torch
from torch.nn.functional import interpolate, l1_loss

from models import flags, losses, networks
from models.base_model import BaseModel
from models.batches import run_batches
from models.builders import adam
from models.flags import check_stargan
from models.stargan_labels import Labels
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
        self.labels = Labels(opt.selected_attrs, opt.domains, opt.exclusive_attrs)
        self.wanted = self.labels.parse(None if self.isTrain else opt.targets)
        self.iteration = 0
        self.shown = None  # images and attributes of the first batch, whose translations training shows
        self.loss_names = ["D/loss_real", "D/loss_fake", "D/loss_cls", "D/loss_gp"]
        self.model_names = ["G", "D"] if self.isTrain else ["G"]
        # Both keep PyTorch's own initialisation, as released.
        sizes = len(self.labels.names), opt.d_repeat_num, opt.input_nc
        self.netG = networks.StarGANGenerator(opt.g_conv_dim, self.labels.width, opt.g_repeat_num, opt.input_nc)
        self.netD = networks.StarGANDiscriminator(opt.image_size, opt.d_conv_dim, *sizes) if self.isTrain else None
        if self.isTrain:
            betas = opt.beta1, opt.beta2
            self.optimizer_G = adam(self.netG.parameters(), lr=opt.g_lr, betas=betas)
            self.optimizer_D = adam(self.netD.parameters(), lr=opt.d_lr, betas=betas)
            self.optimizers = [self.optimizer_G, self.optimizer_D]

    def setup(self, opt):
        super().setup(opt)
        if not self.isTrain and self.labels.attributes:
            self.netD, self.why_no_D = load_discriminator(opt, len(self.labels.names), self.save_dir, self.device)

    # --- a step ------------------------------------------------------------------------------------------------------

    def set_input(self, input):
        self.real_A = input["A"].to(self.device, non_blocking=True)
        self.image_paths = input["A_paths"]
        self.label = input.get("label")
        if self.isTrain:
            self.draw_targets(self.label)

    def draw_targets(self, label):
        """c and c' of the batch, computed on the loader's device, so that nothing waits for the GPU."""
        self.labels.check(label, self.image_paths[0])
        self.iteration += self.labels.starts_iteration(label)
        target = self.draw_target_labels(label)
        conditions = self.labels.condition_of(label), self.labels.condition_of(target)
        self.label_org, self.label_trg = (each.to(self.device, non_blocking=True) for each in (label, target))
        self.c_org, self.c_trg = (each.to(self.device, non_blocking=True) for each in conditions)
        names = ("real_A", "image_paths", "label_org", "label_trg", "c_org", "c_trg")
        self.keep_batch({name: getattr(self, name) for name in names})
        if self.shown is None:
            self.shown = self.real_A[:SHOWN].clone(), self.labels.attributes_of(label[:SHOWN]).to(self.device)

    def take_part(self, part):
        """A micro-batch of --accumulate, with the targets that were drawn over the whole batch."""
        for name, value in part.items():
            setattr(self, name, value)

    def draw_target_labels(self, labels):
        """The labels of the step, of all processes, in another order; an image may keep its own."""
        everywhere, first = distributed.concatenate_in_rank_order(labels)
        order = torch.randperm(len(everywhere), generator=seeding.shared(labels.device), device=labels.device)
        return everywhere[order[first : first + len(labels)]]

    def draw_gp_alpha(self, batch_size):
        """The share of each real image in x^: (batch_size, 1, 1, 1)."""
        return torch.rand(batch_size, 1, 1, 1, device=self.device)

    def forward(self):
        self.fake_B = self.netG(self.real_A, self.c_trg)

    def optimize_parameters(self):
        updates_G = self.iteration % self.opt.n_critic == 0
        # The original generates this image a second time for the generator's step. It would be equal, since only D
        # has changed; the running statistics of the norms count it twice, to be equal to the original's.
        with torch.set_grad_enabled(updates_G), networks.counted(self.netG, 2 if updates_G else 1):
            self.run_forward()
        self.step([self.optimizer_D], self.discriminator_loss)
        if self.opt.separate_gp:
            self.step([self.optimizer_D], self.penalty_loss)
        if updates_G:
            self.step([self.optimizer_G], self.generator_loss, frozen=[self.netD])

    def discriminator_loss(self):
        batches = [self.real_A, self.fake_B.detach()]
        (real, domains), (fake, _) = run_batches(self.netD, batches, self._passes.may_share(self.netD))
        self.loss_D_loss_real, self.loss_D_loss_fake = -real.mean(), fake.mean()
        self.loss_D_loss_cls = self.labels.classification_loss(domains, self.label_org)
        loss = self.loss_D_loss_real + self.loss_D_loss_fake + self.opt.lambda_cls * self.loss_D_loss_cls
        return loss if self.opt.separate_gp else loss + self.penalty_loss()

    def penalty_loss(self):
        alpha = self.draw_gp_alpha(len(self.real_A))
        between = (alpha * self.real_A + (1 - alpha) * self.fake_B.detach()).requires_grad_()
        with full_precision():
            self.loss_D_loss_gp = losses.slope_penalty(self.netD(between)[0], between)
        penalty = self.opt.lambda_gp * self.loss_D_loss_gp
        if self.opt.separate_gp:
            # The slope does not depend on the biases. Their gradients are 0 instead of None, so that Adam's momentum
            # moves them, as released.
            penalty = penalty + 0 * sum(p.sum() for name, p in self.netD.main.named_parameters() if "bias" in name)
        return penalty

    def generator_loss(self):
        fake, domains = self.netD(self.fake_B)
        rec_A = self.netG(self.fake_B, self.c_org)
        self.loss_G_loss_fake = -fake.mean()
        self.loss_G_loss_rec = l1_loss(rec_A, self.real_A)
        self.loss_G_loss_cls = self.labels.classification_loss(domains, self.label_trg)
        if "G/loss_fake" not in self.loss_names:  # the first update; later the last values remain reported
            self.loss_names += ["G/loss_fake", "G/loss_rec", "G/loss_cls"]
        weighted = self.opt.lambda_rec * self.loss_G_loss_rec + self.opt.lambda_cls * self.loss_G_loss_cls
        return self.loss_G_loss_fake + weighted

    def update_learning_rate(self):
        with warnings.catch_warnings():
            # In the first n_critic iterations the generator has no update yet; its learning rate need not wait for it.
            warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step")
            super().update_learning_rate()

    # --- translations ------------------------------------------------------------------------------------------------

    def translate(self, images, target=None, attributes=None):
        """{target: translated images}; writes no attribute.

        target: None for all of --targets, a text such as "Blond_Hair" or "Brown_Hair+Male", or a dict such as
        {"Blond_Hair": 1, "Male": 0}. attributes: (N, attributes) of the images, NaN or None where unknown; where a
        target keeps or flips an unknown attribute, D recognises it.
        """
        targets = self.wanted if target is None else self.labels.named(target)
        images = images.to(self.device)
        known = attributes if attributes is None else attributes.to(images)
        if known is None or any(self.labels.condition(each, known).isnan().any() for each in targets.values()):
            recognised = self.attributes_for(images, targets)
            known = recognised if known is None else torch.where(known.isnan(), recognised, known)
        conditions = {name: self.labels.condition(each, known) for name, each in targets.items()}
        with networks.counted(self.netG, 0):  # the running statistics stay as they are
            return {name: self.netG(images, condition) for name, condition in conditions.items()}

    def attributes_for(self, images, targets):
        """(N, attributes) of 0 and 1, recognised by D if a target depends on them, and else zeros."""
        needing = [name for name, target in targets.items() if self.labels.needs_attributes(target)]
        if not needing:
            return images.new_zeros(
                images.shape[0], len(self.labels.attributes)
            )  # len() would fix the batch of an export
        if self.netD is None:
            raise InputError(
                f"{needing[0]}: images without labels, and this target keeps or flips their attributes; give "
                f"--attr_path, or the discriminator, which recognises them ({self.why_no_D})"
            )
        # D takes images of one size. Resizing an image to its own size does not change it.
        size = self.opt.image_size, self.opt.image_size
        resized = interpolate(images, size, mode="bilinear", antialias=True)
        return (self.netD(resized)[1][:, : len(self.labels.attributes)] > 0).to(images)

    def test(self):
        with torch.no_grad():
            attributes = None if self.label is None else self.labels.attributes_of(self.label)
            self.translations = self.translate(self.real_A, attributes=attributes)

    def compute_visuals(self):
        with torch.no_grad():
            self.translations = self.translate(self.shown[0], attributes=self.shown[1])

    def get_current_visuals(self):
        """Columns: the input, then every target; in training a tall picture each, always of the same images."""
        images = self.shown[0] if self.isTrain else self.real_A
        columns = OrderedDict(real_A=images, **self.translations)
        if not self.isTrain:
            return columns
        return OrderedDict((name, torch.cat(tuple(column), dim=1)[None]) for name, column in columns.items())

    def eval(self):
        """Nothing: in eval mode the norms would use running statistics, and the images would differ from training's."""

    @property
    def scored_visuals(self):
        return {name: ("real_A", None) for name in self.wanted}

    # --- for a resumed run -------------------------------------------------------------------------------------------

    def take_weights(self, trained):
        """D comes along, which recognises the attributes of images without labels."""
        super().take_weights(trained)
        self.netD = trained.netD

    def state_dict(self):
        return {"iteration": self.iteration, "shown": self.shown}

    def load_state_dict(self, state):
        self.iteration = state["iteration"]
        self.shown = state["shown"] and tuple(each.to(self.device) for each in state["shown"])


def load_discriminator(opt, names, folder, device):
    """(D, None) of a trained run; (None, reason) where its file is missing or does not fit --image_size."""
    path = os.path.join(folder, f"{weights.tag_of(opt)}_net_D.pth")
    if opt.image_size < 2**opt.d_repeat_num:
        return None, f"--image_size {opt.image_size}: smaller than the discriminator takes, {2**opt.d_repeat_num}"
    net = networks.StarGANDiscriminator(opt.image_size, opt.d_conv_dim, names, opt.d_repeat_num, opt.input_nc)
    try:
        weights.load_weights(net.to(device), path)
    except InputError as error:
        return None, str(error)
    print(f"attributes of images without labels are recognised by the discriminator ({path})")
    return net, None
