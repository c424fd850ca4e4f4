"""Losses: the numbers of the originals, and properties that callers rely on."""

import pytest
import torch
from parity_tools import check_block, fill, make_input, read, uniform
from torch import nn

from models import losses, networks, tables


def make_discriminator():
    discriminator = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(4, 1, 3, 1, 1))
    return fill(discriminator, "vis.critic")


def title(case):
    return "-".join(str(case[key]) for key in ("reference", "gan_mode", "target_is_real"))


@pytest.mark.parametrize("case", read("losses")["gan_loss"], ids=title)
def test_gan_loss_is_the_released_one(case):
    prediction = make_input(case["prediction"]).requires_grad_()
    loss = networks.GANLoss(case["gan_mode"])(prediction, case["target_is_real"])
    if "loss_vector" in case:
        assert loss.tolist() == pytest.approx(case["loss_vector"], rel=1e-5)
    loss.mean().backward()
    assert float(loss.detach().mean()) == pytest.approx(case["loss"], rel=1e-5)
    assert float(prediction.grad.norm()) == pytest.approx(case["grad_l2"], rel=1e-5)


@pytest.mark.parametrize("case", read("losses")["gradient_penalty"], ids=lambda case: case["type"])
def test_gradient_penalty_is_the_released_one(case, monkeypatch):
    shape = case["shape"]
    monkeypatch.setattr(losses, "draw_alpha", lambda n, device: uniform(case["alpha_seed"], (n, 1), low=0))
    discriminator = make_discriminator()
    real, fake = (make_input({"seed": case[seed], "shape": shape}) for seed in ("real_seed", "fake_seed"))
    penalty, gradients = networks.cal_gradient_penalty(
        discriminator, real, fake, torch.device("cpu"), case["type"], case["constant"], case["lambda_gp"]
    )
    assert float(penalty.detach()) == pytest.approx(case["penalty"], rel=1e-5)
    check_block(gradients, case["gradients"], values=1e-5, norms=1e-5)
    penalty.backward()
    expected = case["grad_of_penalty_wrt_first_conv_weight_l2"]
    assert float(discriminator[0].weight.grad.norm()) == pytest.approx(expected, rel=1e-5)


# --- GANLoss ---------------------------------------------------------------------------------------------------------


def test_modes_are_those_of_the_flag():
    assert tuple(losses.GAN_LOSSES) == tables.GAN_MODES
    with pytest.raises(ValueError, match=r"'ralsgan': .*lsgan"):
        networks.GANLoss("ralsgan")


@pytest.mark.parametrize("mode", tables.GAN_MODES)
@pytest.mark.parametrize("dtype", [torch.double, torch.bfloat16])
def test_the_loss_has_the_dtype_of_the_prediction(mode, dtype):
    prediction = torch.randn(2, 1, 3, 3).to(dtype)
    assert networks.GANLoss(mode)(prediction, True).dtype == dtype


def test_labels_are_buffers_and_can_be_smoothed():
    criterion = networks.GANLoss("lsgan", target_real_label=0.9)
    assert list(criterion.state_dict()) == ["real_label", "fake_label"]
    prediction = torch.full((2, 1, 3, 3), 0.4)
    target = criterion.get_target_tensor(prediction, True)
    assert target.shape == prediction.shape and target.unique().tolist() == pytest.approx([0.9])
    assert float(criterion(prediction, True)) == pytest.approx(0.25)
    assert float(criterion(prediction, False)) == pytest.approx(0.16)


def test_hinge_has_no_gradient_for_a_generator_with_logits_above_1():
    prediction = torch.tensor([[2.0, 0.5]], requires_grad=True)
    networks.GANLoss("hinge")(prediction, True).backward()
    assert prediction.grad.tolist() == [[0.0, -0.5]]


# --- discriminator_loss ----------------------------------------------------------------------------------------------


def test_discriminator_loss_is_the_mean_of_both_parts():
    discriminator = make_discriminator()
    real, fake = torch.ones(1, 3, 8, 8), -torch.ones(1, 3, 8, 8)
    criterion = networks.GANLoss("nonsaturating")
    judged = discriminator(real), discriminator(fake)
    total, loss_real, loss_fake = losses.discriminator_loss(criterion, *judged)
    assert loss_real.item() == pytest.approx(criterion(judged[0], True).mean().item())
    assert loss_fake.item() == pytest.approx(criterion(judged[1], False).mean().item())
    assert total.item() == pytest.approx((loss_real + loss_fake).item() / 2)
    total.backward()
    assert discriminator[0].weight.grad is not None


# --- gradient penalty ------------------------------------------------------------------------------------------------


def penalty_of(discriminator, real, fake, **more):
    return networks.cal_gradient_penalty(discriminator, real, fake, torch.device("cpu"), **more)


def test_the_penalty_is_0_without_a_weight():
    assert penalty_of(None, None, None, lambda_gp=0.0) == (0.0, None)


class Flat(nn.Module):
    """A constant discriminator."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.zeros(()))

    def forward(self, x):
        return self.scale * x


def test_the_gradient_of_a_constant_discriminator_is_finite():
    discriminator = Flat()
    penalty, _ = penalty_of(discriminator, torch.ones(2, 3, 4, 4), torch.zeros(2, 3, 4, 4))
    penalty.backward()
    assert float(penalty.detach()) == pytest.approx(10.0)
    assert discriminator.scale.grad.isfinite()


@pytest.mark.parametrize("type", ["real", "fake", "mixed"])
def test_the_penalty_does_not_change_its_inputs(type):
    real, maker = torch.ones(2, 3, 8, 8), torch.tensor(0.5, requires_grad=True)
    penalty, gradients = penalty_of(make_discriminator(), real, maker * real, type=type)
    penalty.backward()
    assert gradients.shape == (2, 192)
    assert not real.requires_grad and maker.grad is None


def test_the_penalty_through_instance_norm_is_correct_at_batch_size_1():
    torch.manual_seed(0)
    discriminator = networks.define_D(1, 2, "n_layers", 1, "instance", init_gain=0.5).double()
    weight = discriminator.model[0].weight
    image = torch.randn(1, 1, 10, 10, dtype=torch.double)

    def penalty(weight):
        def judge(x):
            return torch.func.functional_call(discriminator, {"model.0.weight": weight}, x)

        return penalty_of(judge, image, image, type="real")[0]

    assert torch.autograd.gradcheck(penalty, weight.detach().requires_grad_())


def test_mixing_refuses_different_shapes_and_unknown_types():
    real = torch.ones(1, 3, 8, 8)
    with pytest.raises(ValueError, match=r"\(1, 3, 8, 8\) and generated ones \(1, 3, 8, 9\)"):
        penalty_of(make_discriminator(), real, torch.ones(1, 3, 8, 9))
    assert penalty_of(make_discriminator(), real, torch.ones(1, 3, 8, 9), type="fake")[1].shape == (1, 216)
    with pytest.raises(ValueError, match=r"type 'both': .*mixed"):
        penalty_of(make_discriminator(), real, real, type="both")
