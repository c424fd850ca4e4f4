"""Translation to many domains by one generator G(x, c): labels, targets and visuals. A subclass adds the losses.

The subclass creates ``netG``, and ``netD`` by its discriminator(); ``netD(x)[1]`` are the logits of the domains.
"""

import os
import warnings
from collections import OrderedDict

import torch
from torch.nn.functional import interpolate

from models import networks
from models.base_model import BaseModel
from models.stargan_labels import Labels
from util.errors import InputError, Notice, some_of
from util.numerics import seeding
from util.processes import distributed
from util.run import weights

SHOWN = 8  # images in each visual during training


class MultiDomainModel(BaseModel):
    """In training, the target labels c' are the labels c of the batch in random order.

    A test translates to every target of --targets. If a target keeps or flips an attribute of an image without a label,
    the discriminator predicts the attribute.
    """

    def __init__(self, opt):
        super().__init__(opt)
        opt = self._own
        self.labels = Labels(opt.selected_attrs, opt.domains, opt.exclusive_attrs)
        self.targets = self.labels.parse(None if self.isTrain else opt.targets)
        self.shown = None  # (images, attributes) of the first batch: the visuals in training are their translations

    def discriminator(self):
        """A new discriminator, on the CPU, with initial weights."""
        raise NotImplementedError

    def setup(self, opt):
        super().setup(opt)
        if not self.isTrain and self.labels.attributes:
            self.netD, self.why_no_D = self.load_discriminator()

    def load_discriminator(self):
        """(netD, None) of a trained run; (None, reason) where its file is missing or does not fit --image_size."""
        path = os.path.join(self.save_dir, f"{weights.tag_of(self.opt)}_net_D.pth")
        try:
            net = self.discriminator().to(self.device)
            weights.load_weights(net, path)
        except ValueError as error:  # an InputError is one
            return None, str(error)
        print(f"attributes of images without labels are predicted by the discriminator ({path})")
        return net, None

    # --- labels of a batch -------------------------------------------------------------------------------------------

    def set_input(self, input):
        self.real_A = input["A"].to(self.device, non_blocking=True)
        self.image_paths = input["A_paths"]
        self.label = input.get("label")
        if self.isTrain:
            self.draw_targets(self.label)

    def draw_targets(self, label):
        """Set c and c' of the batch. They are computed on the loader's device, without waiting for the GPU."""
        self.labels.check(label, self.image_paths[0])
        target = self.draw_target_labels(label)
        conditions = self.labels.condition_of(label), self.labels.condition_of(target)
        self.label_org, self.label_trg = (each.to(self.device, non_blocking=True) for each in (label, target))
        self.c_org, self.c_trg = (each.to(self.device, non_blocking=True) for each in conditions)
        names = ("real_A", "image_paths", "label_org", "label_trg", "c_org", "c_trg")
        self.keep_batch({name: getattr(self, name) for name in names})
        if self.shown is None:
            self.shown = self.real_A[:SHOWN].clone(), self.labels.attributes_of(label[:SHOWN]).to(self.device)

    def draw_target_labels(self, labels):
        """The labels of the step's images on all processes in random order; an image may keep its own."""
        everywhere, first = distributed.concatenate_in_rank_order(labels)
        order = torch.randperm(len(everywhere), generator=seeding.shared(labels.device), device=labels.device)
        return everywhere[order[first : first + len(labels)]]

    def take_part(self, part):
        """Set a micro-batch of --accumulate as input, with the targets drawn for the whole batch."""
        for name, value in part.items():
            setattr(self, name, value)

    # --- translations ------------------------------------------------------------------------------------------------

    def translate(self, images, target=None, attributes=None):
        """{target: translated images}; writes no attribute.

        target: None for all of --targets, a text such as "Blond_Hair" or "Brown_Hair+Male", a dict such as
        {"Blond_Hair": 1, "Male": 0}, or the generator's condition itself, a tensor (N, c_dim), see labels.columns().
        attributes: (N, attributes) of the images, NaN or None where unknown.
        """
        if isinstance(target, torch.Tensor):
            with networks.counted(self.netG, 0):
                return {"labels": self.netG(images.to(self.device), target.to(images))}
        targets = self.targets if target is None else self.labels.named(target)
        images = images.to(self.device)
        known = attributes if attributes is None else attributes.to(images)
        if known is None or any(each.isnan().any() for each in self.labels.conditions(targets, known).values()):
            predicted = self.attributes_for(images, targets)
            known = predicted if known is None else torch.where(known.isnan(), predicted, known)
        conditions = self.labels.conditions(targets, known)
        with networks.counted(self.netG, 0):  # the running statistics stay as they are
            return {name: self.netG(images, condition) for name, condition in conditions.items()}

    def default_target(self):
        """The first of --targets, for a call without a target; a Notice names it if there are several."""
        name, target = next(iter(self.targets.items()))
        if len(self.targets) > 1:
            among = some_of(list(self.targets))
            warnings.warn(Notice(f"no target given: translating to {name}, the first of {among}"), stacklevel=2)
        return target

    def check_target(self, target):
        """Raise InputError if translate() can't take this target."""
        if not isinstance(target, torch.Tensor):
            self.labels.named(target)

    def condition_of(self, item):
        """What translate() should get besides the images of an item of the data set: their attributes."""
        return {"attributes": self.labels.attributes_of(item["label"])} if "label" in item else {}

    def settled(self, images, condition):
        """The keyword arguments of translate() with the attributes of the images, for parts of these images."""
        target = condition.get("target")
        if isinstance(target, torch.Tensor):
            return condition
        targets = self.targets if target is None else self.labels.named(target)
        with torch.no_grad():
            return {"attributes": self.attributes_for(images.to(self.device), targets), **condition}

    def attributes_for(self, images, targets):
        """(N, attributes) of 0 and 1: predicted by the discriminator if a target depends on them, otherwise zeros."""
        needing = [name for name, target in targets.items() if self.labels.needs_attributes(target)]
        if not needing:
            return images.new_zeros(images.shape[0], len(self.labels.attributes))  # len() would fix an export's batch
        if self.netD is None:
            raise InputError(
                f"{needing[0]}: the images have no labels, and this target keeps or flips their attributes; give "
                f"--attr_path, or a discriminator that predicts the attributes ({self.why_no_D})"
            )
        # The discriminator takes images of one size. Resizing an image to its own size does not change it.
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
        """The input and its translation to every target; in training, of the images `shown`, stacked vertically."""
        images = self.shown[0] if self.isTrain else self.real_A
        columns = OrderedDict(real_A=images, **self.translations)
        if not self.isTrain:
            return columns
        return OrderedDict((name, torch.cat(tuple(column), dim=1)[None]) for name, column in columns.items())

    @property
    def scored_visuals(self):
        return {name: ("real_A", None) for name in self.targets}

    # --- for a resumed run -------------------------------------------------------------------------------------------

    def take_weights(self, trained):
        """Also take the discriminator, which predicts the attributes of images without labels."""
        super().take_weights(trained)
        self.netD = trained.netD

    def state_dict(self):
        return {"shown": self.shown}

    def load_state_dict(self, state):
        self.shown = state["shown"] and tuple(each.to(self.device) for each in state["shown"])


def check_stargan(opt):
    """Refuse numbers of domains that differ from their names, and images that do not fit the networks' strides."""
    sizes = {"c_dim": opt.selected_attrs or opt.domains}
    if opt.selected_attrs and opt.domains:
        sizes["c2_dim"] = opt.domains
    for flag, names in sizes.items():
        if getattr(opt, flag) != len(names):
            raise InputError(
                f"--{flag} {getattr(opt, flag)}: the data has {len(names)} domains ({', '.join(names) or 'none'}); "
                "leave the flag out"
            )
    if opt.input_nc != opt.output_nc:
        raise InputError(f"--output_nc {opt.output_nc}: StarGAN needs as many channels as --input_nc {opt.input_nc}")
    if opt.image_size % 4:
        raise InputError(f"--image_size {opt.image_size}: needs a multiple of 4; try {opt.image_size // 4 * 4 + 4}")
    if opt.isTrain and opt.image_size < 2**opt.d_repeat_num:
        raise InputError(
            f"--image_size {opt.image_size}: the discriminator halves it {opt.d_repeat_num} times; make it at least "
            f"{2**opt.d_repeat_num}, or --d_repeat_num smaller"
        )
