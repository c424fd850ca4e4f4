"""What the contrastive models share: projectors, the NCE term, and passes through a network that serve twice.

Features of the images come from the generator's first half. Of the real images, which are the keys, they have
already been computed when the images were translated, and with the same weights; of two batches for one generator,
one pass can take both. Both are exact as long as images don't see each other (batch norm) and a second pass would
do the same (dropout): otherwise, and with ``--economies no``, every pass is run as the originals run it.
"""

import torch

from models import networks
from models.builders import adam
from models.economies import apart, run_batches
from models.tables import GENERATORS
from util.errors import InputError
from util.numerics import seeding
from util.processes import distributed


class Contrastive:
    """Mixed into a model before its BaseModel. What a page uses: make_F, translate, queries, keys, nce."""

    learns_keys = False  # whether the loss has a gradient with respect to the keys
    adam_F = None  # settings of the projectors' optimizer, where they are not --lr, --beta1, --beta2

    def __init__(self, opt):
        super().__init__(opt)
        self.layers = parse_layers(opt.nce_layers)
        self.flipped = False

    def uses_patches(self):
        """Whether any loss looks at patches."""
        return self.opt.lambda_NCE > 0

    def make_F(self, netG, input_nc):
        """The projector for the features that `netG` has of images with input_nc channels."""
        opt = self.opt
        if not GENERATORS[opt.netG].features:
            able = ", ".join(word for word, net in GENERATORS.items() if net.features)
            raise InputError(f"--netG {opt.netG}: it hands out no features for the contrastive loss; choose {able}")
        widths = feature_widths(netG, self.layers, input_nc)
        self._choose_economies(netG)
        init = {"init_type": opt.init_type, "init_gain": opt.init_gain}
        netF = networks.define_F(input_nc, opt.netF, **init, gpu_ids=self.gpu_ids, opt=opt, widths=widths)
        netF.generator = seeding.shared  # one draw of places for all images of a step
        netG.returns_half_features = True  # under --precision bf16, fp16: our projectors take a few vectors of them
        return netF

    def _choose_economies(self, netG):
        self.together = self.opt.economies and apart(netG)
        # A feature that an in-place ReLU overwrites later is another one than a pass that stops there would give.
        last = self.layers[-1]
        self.rides_along = self.together and self.uses_patches() and not netG.feature_is_overwritten(last)
        self.keys_with_graph = self.learns_keys or not self.opt.economies

    def make_adam_F(self, *nets):
        """The projectors' optimizer in a list, or an empty list where they have nothing to learn."""
        opt = self.opt
        parameters = [parameter for net in nets for parameter in net.parameters()]
        settings = {"lr": opt.lr_F or opt.lr, "betas": (opt.beta1, opt.beta2)}
        if opt.lr_F is None and self.adam_F:
            settings = {**self.adam_F, "lr": self.adam_F["lr"] * getattr(opt, "lr_scale", 1)}
        return [adam(parameters, **settings)] if parameters and self.uses_patches() else []

    def draw_flip(self):
        """The coin of --flip_equivariance: whether this step's images are translated mirrored."""
        return bool(torch.rand((), generator=seeding.shared("cpu")) < 0.5)

    def seen(self, images):
        """The images as the generators see them in this step."""
        return images.flip(3) if self.flipped else images

    def translate(self, netG, *batches, together=None):
        """For each batch (its translation, its features or None where they don't come along)."""
        together = self.together if together is None else together
        layers = self.layers if self.rides_along and not self.flipped else []
        made = run_batches(lambda images: netG(images, layers), [self.seen(images) for images in batches], together)
        return made if layers else [(images, None) for images in made]

    def queries(self, netG, *batches):
        """For each batch of translations its features, turned back where it was translated mirrored."""
        found = run_batches(lambda images: netG(images, self.layers, encode_only=True), batches, self.together)
        return [[feature.flip(3) for feature in features] if self.flipped else features for features in found]

    def keys(self, netG, images, features):
        """The features of real images: those that came along with the translation, or by a pass of their own."""
        with torch.set_grad_enabled(self.keys_with_graph):
            return netG(images, self.layers, encode_only=True) if features is None else features

    def nce(self, netF_q, queries, netF_k, keys):
        """PatchNCE of some queries and the keys at the same places, averaged over patches and layers."""
        with torch.set_grad_enabled(self.keys_with_graph):
            k, ids = netF_k(keys, self.opt.num_patches)
        q, _ = netF_q(queries, self.opt.num_patches, ids)
        return self.compare(q, k)

    def compare(self, q, k):
        """PatchNCE of the vectors of every layer, averaged."""
        images = len(self.real_A)
        if self.criterionNCE.one_group:  # negatives are all patches of the step, those in other processes too
            k = [distributed.concatenate_own_first(k_i) for k_i in k]
        return sum(self.criterionNCE(q_i, k_i, images).mean() for q_i, k_i in zip(q, k)) / len(q)

    def gan_loss(self, netD, fake):
        """lambda_GAN GAN(G, D), or 0 without asking the critic."""
        if self.opt.lambda_GAN == 0:
            return torch.zeros((), device=fake.device)
        return self.criterionGAN(netD(fake), True).mean() * self.opt.lambda_GAN


def parse_layers(text):
    """``4,8,12`` as [4, 8, 12]."""
    try:
        layers = [int(word) for word in text.split(",")]
    except ValueError:
        raise InputError(f"--nce_layers {text}: numbers of layers with commas between them, as in 0,4,8") from None
    return layers


def feature_widths(netG, layers, input_nc):
    """Channels of the features at those layers: from a pass on the meta device, where tensors are shapes alone."""
    state = {name: value.to("meta") for name, value in netG.state_dict().items()}
    image = torch.empty(1, input_nc, 64, 64, device="meta")
    try:
        with torch.no_grad():
            features = torch.func.functional_call(netG, state, (image, layers), {"encode_only": True})
    except ValueError as error:  # a layer that isn't there, or out of order
        raise InputError(f"--nce_layers {','.join(map(str, layers))}: {error}") from None
    return [feature.shape[1] for feature in features]
