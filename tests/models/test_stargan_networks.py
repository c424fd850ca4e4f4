"""StarGAN's networks and losses equal the released ones."""

import math

import pytest
import torch
from parity_tools import check_block, fill, make_input, read
from torch import nn

from models import losses, networks
from models.stargan_labels import Labels

CASES = [case for case in read("networks")["cases"] if case["id"].startswith("stargan.")]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_network_is_the_released_one(case):
    made = networks.StarGANGenerator if case["kind"] == "G" else networks.StarGANDiscriminator
    net = fill(made(**case["ctor"]), case["fill_name"])
    assert [[key, list(value.shape)] for key, value in net.state_dict().items()] == case["state_dict"]
    assert sum(parameter.numel() for parameter in net.parameters()) == case["n_params"]
    image = make_input(case["input"])
    with torch.no_grad():
        if case["kind"] == "D":
            patches, domains = net(image)
            check_block(patches, case["output_src"])
            check_block(domains, case["output_cls"])
            return
        label = torch.tensor(case["label"]["values"], dtype=torch.float32)
        check_block(net.eval()(image, label), case["output_eval"])
        check_block(net.train()(image, label), case["output_train"])


@pytest.mark.parametrize("case", read("losses")["classification"], ids=lambda case: case["dataset"])
def test_classification_is_the_released_one(case):
    logits = make_input(case["logit"]).requires_grad_()
    loss = losses.classification_loss(logits, torch.tensor(case["target"]["values"]))
    loss.backward()
    assert float(loss.detach()) == pytest.approx(case["loss"], rel=1e-5)
    assert float(logits.grad.norm()) == pytest.approx(case["grad_l2"], rel=1e-5)


def discriminator(name="vis.critic"):
    return fill(nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(4, 1, 3, 1, 1)), name)


@pytest.mark.parametrize("case", read("losses")["stargan_gradient_penalty"])
def test_gradient_penalty_is_the_released_one(case):
    net, x = discriminator(case["critic_fill_name"]), make_input(case["x"]).requires_grad_()
    penalty = losses.slope_penalty(net(x), x)
    penalty.backward()
    assert float(penalty.detach()) == pytest.approx(case["penalty"], rel=1e-5)
    expected = case["grad_of_penalty_wrt_first_conv_weight_l2"]
    assert float(net[0].weight.grad.norm()) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("slope", [0.0, 1e-25, 1e-20])
def test_the_gradient_of_a_constant_discriminator_is_finite(slope):
    weight = torch.full((3,), slope, requires_grad=True)
    x = torch.ones(2, 3, 4, 4, requires_grad=True)
    penalty = losses.slope_penalty((x * weight.view(1, 3, 1, 1)).sum((2, 3)), x)
    penalty.backward()
    assert float(penalty.detach()) == pytest.approx(1.0)
    assert weight.grad.isfinite().all()


def test_the_penalty_is_0_for_a_gradient_of_length_1():
    x = torch.randn(2, 3, 4, 4, requires_grad=True)
    unit = torch.full((3, 4, 4), 1 / math.sqrt(48))
    assert float(losses.slope_penalty((x * unit).sum((1, 2, 3)), x).detach()) == pytest.approx(0.0, abs=1e-10)


def test_labels_masked_as_unknown_contribute_0():
    labels = Labels(["Bald", "Male", "Young"], ["sad", "glad"])
    torch.manual_seed(0)
    logits = torch.randn(2, 5)
    attributes = torch.tensor([[1.0, 0.0, 1.0]])
    from_file = torch.tensor([[1.0, 0, 1, 0, 0, 1, 0]])
    from_folder = torch.tensor([[0.0, 0, 0, 0, 1, 0, 1]])
    alone = losses.classification_loss(logits[:1, :3], attributes)
    assert labels.classification_loss(logits[:1], from_file) == pytest.approx(alone.item())
    folder = losses.classification_loss(logits[1:, 3:], torch.tensor([1]))
    assert labels.classification_loss(logits[1:], from_folder) == pytest.approx(folder.item())
    together = labels.classification_loss(logits, torch.cat((from_file, from_folder)))
    assert together == pytest.approx((alone.item() + folder.item()) / 2)


def test_the_condition_changes_every_image():
    torch.manual_seed(0)
    net = networks.StarGANGenerator(conv_dim=4, c_dim=2, repeat_num=1)
    image = torch.randn(1, 3, 16, 20).expand(2, -1, -1, -1)
    made = net(image, torch.eye(2))
    assert made.shape == (2, 3, 16, 20)
    assert (made[0] - made[1]).abs().max() > 1e-4


@pytest.mark.parametrize("times", [0, 1, 2, 3])
def test_counted_updates_running_statistics_the_given_number_of_times(times):
    torch.manual_seed(0)
    net, twin = (networks.StarGANGenerator(conv_dim=4, c_dim=2, repeat_num=1) for _ in range(2))
    twin.load_state_dict(net.state_dict())
    image, label = torch.randn(2, 3, 8, 8), torch.eye(2)
    with networks.counted(net, times):
        net(image, label)
    for _ in range(times):
        twin(image, label)
    for (key, value), expected in zip(net.state_dict().items(), twin.state_dict().values()):
        assert torch.allclose(value, expected, atol=1e-6), key
    assert {m.momentum for m in net.modules() if isinstance(m, nn.InstanceNorm2d)} == {0.1}


@pytest.mark.parametrize(("image_size", "repeat_num", "side"), [(64, 6, 1), (96, 6, 1), (64, 4, 4), (100, 5, 3)])
def test_the_discriminator_returns_a_map_of_logits_and_a_vector_of_domains(image_size, repeat_num, side):
    net = networks.StarGANDiscriminator(image_size, conv_dim=2, c_dim=3, repeat_num=repeat_num)
    patches, domains = net(torch.zeros(2, 3, image_size, image_size))
    assert patches.shape == (2, 1, side, side) and domains.shape == (2, 3)


def test_the_penalty_has_the_same_gradients_with_torchs_leaky_relu():
    torch.manual_seed(0)
    ours = networks.StarGANDiscriminator(16, 4, 5, 3).double()
    usual = networks.StarGANDiscriminator(16, 4, 5, 3).double()
    usual.load_state_dict(ours.state_dict())
    for index, layer in enumerate(usual.main):
        if isinstance(layer, nn.LeakyReLU):
            usual.main[index] = nn.LeakyReLU(layer.negative_slope)
    gradients = []
    for net in (ours, usual):
        x = torch.linspace(-1, 1, 2 * 3 * 16 * 16, dtype=torch.double).view(2, 3, 16, 16).requires_grad_()
        logits, domains = net(x)
        (losses.slope_penalty(logits, x) + domains.square().sum() + logits.sum()).backward()
        gradients.append([parameter.grad for parameter in net.parameters()])
    torch.testing.assert_close(*gradients, rtol=1e-12, atol=1e-12)


def test_the_activation_of_the_discriminator_is_leaky_relu_everywhere():
    kink = networks.StarGANDiscriminator(16, 4, 5, 3).main[1]
    for x in (torch.tensor([-2.0, -0.0, 0.0, 3.0, math.inf, -math.inf]), torch.tensor([math.nan])):
        torch.testing.assert_close(kink(x), nn.functional.leaky_relu(x, 0.01), rtol=0, atol=0, equal_nan=True)
        assert kink(x.bfloat16()).dtype == torch.bfloat16
    x = torch.randn(5, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(kink, x) and torch.autograd.gradgradcheck(kink, x)
