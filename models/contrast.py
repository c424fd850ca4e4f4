"""What the contrastive models share: projectors, the PatchNCE term, and the reuse of feature maps.

Features are maps of the generator's first half. The translation of a real image has already computed its features (the
keys) with the same weights, so they need no pass of their own; and two batches for one generator can share a pass.
Both are exact if a sample's output does not depend on its batch (no batch norm) and a second pass would give the same
result (no dropout). Otherwise, and with ``--economies no``, every pass of the original programs is run.
"""

import torch

from models import networks
from models.batches import run_batches
from models.builders import adam
from models.tables import GENERATORS
from util.errors import InputError
from util.numerics import capturing, seeding
from util.processes import distributed


class Contrastive:
    """Mixed into a model before its BaseModel. A model calls: make_F, generate, queries, keys, nce, gan_loss."""

    learns_keys = False  # True: some loss has gradients with respect to the keys
    adam_F = None  # settings of the projectors' Adam; None: --lr, --beta1 and --beta2
    compares_images = True  # True: vectors of other images of the step are negatives
    _shares_features = False  # True: the pass that translates an image also returns its features

    def __init__(self, opt):
        super().__init__(opt)
        self.nce_layers = parse_layers(opt.nce_layers)
        self.flips = self.isTrain and opt.flip_equivariance
        self.flipped_for_equivariance = False

    def uses_patches(self):
        """Whether any loss compares patches."""
        return self.opt.lambda_NCE > 0

    def make_F(self, netG, input_nc):
        """The projector for the features of `netG`, whose input has input_nc channels."""
        opt = self.opt
        if not GENERATORS[opt.netG].features:
            able = ", ".join(word for word, net in GENERATORS.items() if net.features)
            raise InputError(f"--netG {opt.netG}: it returns no features for the contrastive loss; choose {able}")
        self._check_negatives()
        widths = feature_widths(netG, self.nce_layers, input_nc)
        # An in-place ReLU after the last feature changes it only in a pass that does not stop there.
        kept_intact = not netG.feature_is_overwritten(self.nce_layers[-1])
        self._shares_features = self._passes.may_share(encoder_of(netG)) and self.uses_patches() and kept_intact
        init = {"init_type": opt.init_type, "init_gain": opt.init_gain}
        netF = networks.define_F(input_nc, opt.netF, **init, gpu_ids=self.gpu_ids, opt=opt, widths=widths)
        netF.generator = seeding.shared  # all ranks draw the same patch positions
        netF.drawn = capturing.drawn
        # Under mixed precision features stay in half precision: the projectors read only a few vectors of each map.
        netG.returns_half_features = True
        return netF

    def _check_negatives(self):
        """InputError if a query would have no negative: neither in its own image nor in another image of the step."""
        opt = self.opt
        single = "--netF global_pool" * (opt.netF == "global_pool") or "--num_patches 1" * (opt.num_patches == 1)
        if not single or not self.uses_patches() or (self.compares_images and distributed.step_size(opt) > 1):
            return
        mend = "--batch_size 2 or more"
        if not self.compares_images:
            mend += " and --nce_includes_all_negatives_from_minibatch"
        raise InputError(f"{single}: one vector per image and layer, so negatives come from other images; give {mend}")

    def make_adam_F(self, *nets):
        """The projectors' optimizer; None if no loss uses them or they have no parameters."""
        opt = self.opt
        parameters = [parameter for net in nets for parameter in net.parameters()]
        settings = {"lr": self._own.lr_F or opt.lr, "betas": (opt.beta1, opt.beta2)}
        if self._own.lr_F is None and self.adam_F:
            settings = {**self.adam_F, "lr": self.adam_F["lr"] * getattr(opt, "lr_scale", 1)}
        return adam(parameters, **settings) if parameters and self.uses_patches() else None

    def decide(self):
        return {**super().decide(), "flipped": self.flips and self.draw_flip()}

    def draw_flip(self):
        """The random choice of --flip_equivariance: True if the images of this step are mirrored."""
        return bool(torch.rand((), generator=seeding.shared("cpu")) < 0.5)

    def seen(self, images):
        """The images as this step passes them to the generators: mirrored or not."""
        return images.flip(3) if self.flipped_for_equivariance else images

    def generate(self, netG, *batches, share=None):
        """The translation of each batch, None for None; keeps the features of the same pass for keys().

        `share=True` runs one pass for all batches even where that is not exact.
        """
        share = self._passes.may_share(netG) if share is None else share
        layers = self.nce_layers if self._shares_features and not self.flipped_for_equivariance else []
        given = [images for images in batches if images is not None]
        made = run_batches(lambda images: netG(images, layers), [self.seen(images) for images in given], share)
        if layers:
            for images, (_, features) in zip(given, made):
                self._passes.keep("features", netG, images, features)
            made = [image for image, _ in made]
        made = iter(made)
        results = [None if images is None else next(made) for images in batches]
        return results if len(results) > 1 else results[0]

    def encode_ahead(self, netG, *batches):
        """Compute the features of translations in one pass for all batches, where exact; queries() returns them."""
        if self._passes.may_share(encoder_of(netG)):
            for images, features in zip(batches, run_batches(self._encode(netG), batches, True)):
                self._passes.keep("queries", netG, images, features)

    def queries(self, netG, images):
        """The features of translations, mirrored back if the step's images are mirrored."""
        features = self._passes.take("queries", netG, images)
        if features is None:
            features = self._encode(netG)(images)
        return [feature.flip(3) for feature in features] if self.flipped_for_equivariance else features

    def keys(self, netG, images):
        """The features of real images: those that generate() kept, or else from a pass of their own."""
        features = self._passes.take("features", netG, images)
        with torch.set_grad_enabled(self._keys_have_graph()):
            return self._encode(netG)(images) if features is None else features

    def _encode(self, netG):
        return lambda images: netG(images, self.nce_layers, encode_only=True)

    def _keys_have_graph(self):
        return self.learns_keys or not self._own.economies

    def nce(self, netF_q, queries, netF_k, keys):
        """PatchNCE at random positions, the same for queries and keys, averaged over patches and layers."""
        with torch.set_grad_enabled(self._keys_have_graph()):
            k, ids = netF_k(keys, self.opt.num_patches)
        q, _ = netF_q(queries, self.opt.num_patches, ids)
        return self.compare(q, k)

    def compare(self, q, k):
        """PatchNCE of lists of vectors, an entry per layer; averaged over patches and layers."""
        images = len(self.real_A)
        if getattr(self.criterionNCE[0], "one_group", False):
            # Negatives are all patches of the step, including those of other ranks.
            k = [distributed.concatenate_own_first(k_i) for k_i in k]
        losses = [criterion(q_i, k_i, images).mean() for criterion, q_i, k_i in zip(self.criterionNCE, q, k)]
        return sum(losses) / len(q)

    def gan_loss(self, netD, fake):
        """lambda_GAN GAN(G, D); the discriminator is not run if lambda_GAN is 0."""
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


def encoder_of(netG):
    """The part of a generator that computes its features. (StyleGAN2's decoder draws noise, its encoder does not.)"""
    return getattr(netG, "encoder", netG)


def feature_widths(netG, layers, input_nc):
    """Channels of the features at `layers`, from a pass on the meta device, which computes shapes only."""
    state = {name: value.to("meta") for name, value in netG.state_dict().items()}
    image = torch.empty(1, input_nc, 64, 64, device="meta")
    try:
        with torch.no_grad():
            features = torch.func.functional_call(netG, state, (image, layers), {"encode_only": True})
    except ValueError as error:  # a layer that does not exist, or out of order
        raise InputError(f"--nce_layers {','.join(map(str, layers))}: {error}") from None
    return [feature.shape[1] for feature in features]
