"""What two-sided models share: directions, missing domains, discriminators and image pools."""

import pytest
import torch
from distributed.cases import EQUAL, batch, build

from util.errors import InputError


def test_two_sided_models_translate_in_either_direction():
    model = build(EQUAL["cycle_gan"], 1)
    images = batch(1, 2, torch.float64)["A"]
    assert torch.equal(model.translate(images, direction="AtoB")["fake_B"], model.netG_A(images))
    assert torch.equal(model.translate(images, direction="BtoA")["fake_A"], model.netG_B(images))
    with pytest.raises(InputError, match="direction C: choose AtoB or BtoA"):
        model.translate(images, direction="C")


def test_a_missing_domain_is_left_out(monkeypatch):
    model = build(EQUAL["cycle_gan"], 1)
    model.set_input({"A": batch(1, 1, torch.float64)["A"], "A_paths": ["a"]})
    model.forward()
    assert torch.equal(model.fake_B, model.netG_A(model.real_A)) and model.fake_A is None and model.real_B is None


@pytest.mark.parametrize(
    ("verb", "net", "fake"), [("backward_D_A", "netD_A", "fake_B"), ("backward_D_B", "netD_B", "fake_A")]
)
def test_a_discriminator_gets_the_images_that_its_pool_returns(verb, net, fake):
    model = build(EQUAL["cycle_gan"], 1)
    model.set_input(batch(1, 1, torch.float64))
    model.forward()
    older = torch.full_like(getattr(model, fake), 0.25)
    getattr(model, f"{fake}_pool").query = lambda images: older if images is getattr(model, fake) else None
    inputs = []
    getattr(model, net).register_forward_pre_hook(lambda net, args: inputs.append(args[0]))
    getattr(model, verb)()
    real = model.real_B if fake == "fake_B" else model.real_A
    assert torch.equal(torch.cat(inputs), torch.cat((real, older)))


def test_the_discriminators_loss_does_not_reach_the_generators():
    model = build(EQUAL["cycle_gan"], 1)
    model.set_input(batch(1, 1, torch.float64))
    model.forward()
    model.backward_D_A()
    assert all(parameter.grad is None for parameter in model.netG_A.parameters())
    assert all(parameter.grad is not None for parameter in model.netD_A.parameters())
