"""Terms of the objectives, as functions of networks and tensors, without options and models."""

import torch
import torch.nn.functional as F
from torch import nn


def _wgangp(prediction, is_real):
    return -prediction.mean() if is_real else prediction.mean()


def _nonsaturating(prediction, is_real):
    # One value per sample, (N,), as released: the caller takes the mean.
    return F.softplus(-prediction if is_real else prediction).flatten(1).mean(1)


def _hinge(prediction, is_real):
    # As released also for generators: they minimise mean(max(0, 1 - D(fake))), and not -mean(D(fake)) as in SAGAN.
    return F.relu(1 - prediction if is_real else 1 + prediction).mean()


WITH_LABELS = {"vanilla": nn.BCEWithLogitsLoss, "lsgan": nn.MSELoss}  # (prediction, label) -> loss
WITHOUT_LABELS = {"wgangp": _wgangp, "nonsaturating": _nonsaturating, "hinge": _hinge}
GAN_LOSSES = (*WITH_LABELS, *WITHOUT_LABELS)


class GANLoss(nn.Module):
    """The adversarial loss on logits, for a value of --gan_mode; called as criterion(prediction, target_is_real).

    Returns a scalar, but (N,) in mode nonsaturating, so callers take the mean in every mode. The modes vanilla and
    lsgan compare logits with the two labels, by ``self.loss``; the other modes have no labels. A function that a
    caller sets as ``loss`` is used in every mode.
    """

    def __init__(self, gan_mode, target_real_label=1.0, target_fake_label=0.0):
        super().__init__()
        if gan_mode not in GAN_LOSSES:
            raise ValueError(f"GAN mode {gan_mode!r}: choose one of {', '.join(GAN_LOSSES)}")
        self.gan_mode = gan_mode
        self.loss = WITH_LABELS[gan_mode]() if gan_mode in WITH_LABELS else None
        self.register_buffer("real_label", torch.tensor(target_real_label))
        self.register_buffer("fake_label", torch.tensor(target_fake_label))

    def get_target_tensor(self, prediction, target_is_real):
        """The label with the shape, device and data type of the prediction."""
        label = self.real_label if target_is_real else self.fake_label
        return label.to(prediction).expand_as(prediction)

    def forward(self, prediction, target_is_real, smoothing=0.0):
        """`smoothing` is subtracted from the label. The terms of a list, of --num_D discriminators, are summed."""
        if isinstance(prediction, list):
            return sum(self(each, target_is_real, smoothing).mean() for each in prediction)
        if self.loss is None:
            return WITHOUT_LABELS[self.gan_mode](prediction, target_is_real)
        return self.loss(prediction, self.get_target_tensor(prediction, target_is_real) - smoothing)


def discriminator_loss(criterion, pred_real, pred_fake, smoothing=0.0):
    """(loss, real part, fake part) from the discriminator's outputs for real and for generated images.

    The loss is half the sum of the two parts, which slows the discriminator down relative to the generator. With
    `smoothing`, the label of real images is 1 - smoothing, that of generated images stays 0 (one-sided label
    smoothing: Salimans et al., NeurIPS 2016, section 3.4).
    """
    smoothed = (smoothing,) if smoothing and isinstance(criterion, GANLoss) else ()  # not for a user's own criterion
    loss_real, loss_fake = criterion(pred_real, True, *smoothed).mean(), criterion(pred_fake, False).mean()
    return 0.5 * (loss_real + loss_fake), loss_real, loss_fake


def feature_matching(of_fake, of_real):
    """sum_k sum_i mean |D_k^i(fake) - D_k^i(real)| over the feature maps i of the discriminators k, given as two lists.

    Wang et al., CVPR 2018, section 3.2: the maps of real images are targets, through which no gradient goes.
    """
    return sum(F.l1_loss(fake, real.detach()) for fake, real in zip(of_fake, of_real, strict=True))


def classification_loss(logits, label):
    """StarGAN's domain term (Choi et al., CVPR 2018, eqs. 2 and 3), a scalar; logits: (N, domains).

    label (N,), integers: one domain each, cross-entropy. label (N, domains), 0 or 1: attributes that don't exclude
    each other, whose cross-entropies are summed over the attributes and averaged over the batch, as released.
    """
    if not label.is_floating_point():
        return F.cross_entropy(logits, label)
    return F.binary_cross_entropy_with_logits(logits, label, reduction="sum") / len(logits)


def slope_penalty(logits, x):
    """StarGAN's form of WGAN-GP's penalty: mean_n (|grad_x sum(logits_n)| - 1)^2; logits = D(x) for the batch x.

    For a sample whose gradient is zero, the penalty is 1 and its own gradient 0; a plain root would give NaN.
    """
    gradients = torch.autograd.grad(logits.sum(), x, create_graph=True)[0].flatten(1)  # (N, C*H*W)
    return (torch.linalg.vector_norm(gradients, dim=1) - 1).square().mean()


def draw_alpha(samples, device):
    """The share of each real sample in the mixture: (N, 1), uniform in [0, 1)."""
    return torch.rand(samples, 1, device=device)


def cal_gradient_penalty(netD, real_data, fake_data, device, type="mixed", constant=1.0, lambda_gp=10.0):
    """(penalty, gradients) of WGAN-GP (Gulrajani et al., NeurIPS 2017, eq. 3), or (0.0, None) if lambda_gp <= 0.

        lambda_gp E_x (|grad_x D(x)| - constant)^2,   x = real, fake, or alpha real + (1 - alpha) fake when mixed

    gradients: (N, C*H*W), of the first discriminator if netD has several (--num_D); their penalties are summed. The
    penalty has gradients for D only, not for the generator of fake_data.
    """
    if lambda_gp <= 0:
        return 0.0, None
    x = _penalty_points(real_data.detach(), fake_data.detach(), device, type).requires_grad_(True)
    slopes = _slopes(netD, x)
    # The norm has no derivative at a gradient of zero; the offset gives it one.
    penalty = sum(lambda_gp * ((slope + 1e-16).norm(2, dim=1) - constant).square().mean() for slope in slopes)
    return penalty, slopes[0]


def r1_penalty(netD, real_data):
    """R1 without its weight (Mescheder et al., ICML 2018, equation 9): mean_n |grad_x D(x_n)|^2 at real images.

    The squares are summed over C*H*W; for a map of logits, D(x_n) is the sum of the map. The penalties of several
    discriminators (--num_D) are summed.
    """
    slopes = _slopes(netD, real_data.detach().requires_grad_(True))
    return sum(slope.square().sum(1).mean() for slope in slopes)


def _slopes(netD, x):
    """The gradient of the sum of logits at x, (N, C*H*W), of each discriminator that netD consists of (--num_D)."""
    logits = netD(x)
    maps = logits if isinstance(logits, list) else [logits]
    return [torch.autograd.grad(each.sum(), x, create_graph=True)[0].flatten(1) for each in maps]


def lazy_r1(netD, real_data, weight, every, step):
    """weight / 2 R1, computed in every `every`-th step and multiplied by `every`; 0.0 in the other steps.

    Mescheder et al., equation 9, with weight = gamma; lazy as in Karras et al., CVPR 2020, section 3.1.
    """
    if weight <= 0 or step % every:
        return 0.0
    return r1_penalty(netD, real_data) * (weight / 2 * every)


def _penalty_points(real, fake, device, type):
    if type == "real":
        return real.to(device)
    if type == "fake":
        return fake.to(device)
    if type != "mixed":
        raise ValueError(f"gradient penalty of type {type!r}: choose one of mixed, real, fake")
    if real.shape != fake.shape:
        raise ValueError(
            f"gradient penalty: real images are {tuple(real.shape)} and generated ones {tuple(fake.shape)}; "
            "mixing them takes equal shapes, as --preprocess modes that crop or resize to squares give"
        )
    alpha = draw_alpha(len(real), device).view(-1, *[1] * (real.dim() - 1))
    return alpha * real.to(device) + (1 - alpha) * fake.to(device)


MASKED = -10.0  # as released: replaces the score of the positive pair among the negatives, before the temperature


def patch_nce(q, k, temperature=0.07, groups=1):
    """PatchNCE (Park et al., ECCV 2020): cross-entropy for picking each query's own key among the keys of its group.

        l_i = -log( exp(q_i.k_i / T) / (exp(q_i.k_i / T) + sum_{j != i} exp(q_i.k_j / T)) )

    q, k: (rows, channels), vectors of length 1. The rows form `groups` blocks of equal size; negatives come from the
    query's own block. Returns (rows,). No gradient reaches k. A single group may have more keys than queries: the
    additional keys are negatives for all queries.
    """
    q, k = (_at_least_float32(vectors).unflatten(0, (groups, -1)) for vectors in (q, k.detach()))  # (groups, P, C)
    scores = torch.bmm(q, k.mT) / temperature  # (groups, P, keys)
    # As released, the sum also contains the masked diagonal, as a negative with a constant score.
    masked = scores.new_full((*scores.shape[:2], 1), MASKED / temperature)
    own = torch.arange(scores.shape[1], device=scores.device).repeat(groups)
    return F.cross_entropy(torch.cat((scores, masked), 2).flatten(0, 1), own, reduction="none")


def _at_least_float32(x):
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


class PatchNCELoss(nn.Module):
    """CUT's PatchNCE: (q, k) -> one loss per row. Negatives come from the same image only, unless
    ``opt.nce_includes_all_negatives_from_minibatch``.

    The rows are those of `batch_size` images, one after the other; None stands for ``opt.batch_size``.
    """

    def __init__(self, opt):
        super().__init__()
        self.temperature = opt.nce_T
        self.batch_size = opt.batch_size
        self.one_group = opt.nce_includes_all_negatives_from_minibatch

    def forward(self, feat_q, feat_k, batch_size=None):
        images = self.batch_size if batch_size is None else batch_size
        return patch_nce(feat_q, feat_k, self.temperature, 1 if self.one_group else images)


class CosinePatchNCELoss(nn.Module):
    """DCLGAN's PatchNCE, on cosines: (q, k) -> one loss per row. All other rows of the batch are negatives.

    The projectors' vectors have length 1 up to 1e-7, so at batch size 1 it is almost equal to PatchNCELoss.
    """

    one_group = True

    def __init__(self, opt):
        super().__init__()
        self.temperature = opt.nce_T

    def forward(self, feat_q, feat_k, batch_size=None):
        q, k = (F.normalize(_at_least_float32(vectors), dim=1, eps=1e-8) for vectors in (feat_q, feat_k.detach()))
        return patch_nce(q, k, self.temperature)
