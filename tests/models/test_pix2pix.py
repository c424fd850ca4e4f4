"""pix2pix: its losses are the paper's equation, computed here by hand."""

import pytest
import torch
from small_models import NETWORKS, build, feed
from torch.nn import functional as F


def made(tmp_path, *words):
    model = build(tmp_path, "--model", "pix2pix", "--normG", "instance", "--normD", "instance", *words, small=NETWORKS)
    return feed(model, dtype=torch.double)


def test_the_generators_loss_is_the_adversarial_term_and_the_weighted_distance(tmp_path):
    model = made(tmp_path, "--no_dropout", "--lambda_L1", "7")
    model.forward()
    fake = model.netG(model.real_A)
    logits = model.netD(torch.cat((model.real_A, fake), 1))
    expected = F.binary_cross_entropy_with_logits(logits, torch.ones_like(logits)) + 7 * F.l1_loss(fake, model.real_B)
    assert float(model.backward_G()) == pytest.approx(float(expected))
    assert float(model.loss_G_L1) == pytest.approx(7 * float(F.l1_loss(fake, model.real_B)))


def test_the_discriminators_loss_is_the_mean_over_real_and_generated_pairs(tmp_path):
    model = made(tmp_path, "--no_dropout")
    model.forward()
    real = model.netD(torch.cat((model.real_A, model.real_B), 1))
    fake = model.netD(torch.cat((model.real_A, model.fake_B), 1))
    loss_real = F.binary_cross_entropy_with_logits(real, torch.ones_like(real))
    loss_fake = F.binary_cross_entropy_with_logits(fake, torch.zeros_like(fake))
    loss = model.backward_D()
    assert float(loss) == pytest.approx(float(loss_real + loss_fake) / 2)
    assert (float(model.loss_D_real), float(model.loss_D_fake)) == pytest.approx((float(loss_real), float(loss_fake)))
    assert model.netG.model[1].weight.grad is None, "the discriminator's loss must not reach the generator"


def test_the_discriminator_is_updated_before_the_generator(tmp_path):
    model, order = made(tmp_path), []
    step = model.step
    model.step = lambda optimizers, *more, **words: (order.extend(optimizers), step(optimizers, *more, **words))
    model.optimize_parameters()
    assert order == [model.optimizer_D, model.optimizer_G]


def test_the_discriminator_gets_the_generated_pair_first(tmp_path):
    """As released: with batch norm the order of the passes changes the running statistics."""
    model, inputs = made(tmp_path), []
    model.run_forward()
    model.netD.register_forward_pre_hook(lambda net, args: inputs.append(args[0][:, 3:]))
    model.backward_D()
    assert torch.equal(torch.cat(inputs), torch.cat((model.fake_B, model.real_B)))
