"""StyleGAN2's networks: properties that the parity cases of test_networks.py do not cover."""

import argparse

import pytest
import torch
from torch import nn

from models import networks
from models.architectures import stylegan2_layers as layers
from models.architectures.infer import generator_flags
from models.architectures.stylegan2 import cut_into_tiles
from models.batches import is_per_sample
from util.numerics import seeding


def G(netG="stylegan2", ngf=1, **opt):
    torch.manual_seed(0)
    return networks.define_G(3, 3, ngf, netG, init_type="xavier", opt=argparse.Namespace(**{"crop_size": 32, **opt}))


def D(netD="stylegan2", input_nc=3, **opt):
    torch.manual_seed(0)
    return networks.define_D(input_nc, 1, netD, opt=argparse.Namespace(**{"crop_size": 32, **opt}))


def with_noise(net, strength=1.0):
    for module in net.modules():
        if isinstance(module, layers.NoiseInjection):
            nn.init.constant_(module.weight, strength)
    return net


def image(*size, batch=1, channels=3):
    return torch.rand(batch, channels, *size, generator=torch.Generator().manual_seed(3)) * 2 - 1


@pytest.mark.parametrize(
    ("netG", "ngf", "halvings", "parameters", "keys"),
    [
        ("stylegan2", 64, 1, 7_852_420, 39),
        ("smallstylegan2", 64, 1, 3_131_780, 23),
        ("stylegan2", 10, 1, 192_304, 39),
        ("stylegan2", 64, 2, 32_170_373, None),
        ("smallstylegan2", 64, 2, 13_291_909, None),
    ],
)
def test_generators_have_the_released_numbers_of_parameters(netG, ngf, halvings, parameters, keys):
    with torch.device("meta"):
        net = networks.define_G(3, 3, ngf, netG, opt=argparse.Namespace(stylegan2_G_num_downsampling=halvings))
    assert sum(parameter.numel() for parameter in net.parameters()) == parameters
    assert keys is None or len(net.state_dict()) == keys


def test_discriminator_has_the_released_number_of_parameters():
    with torch.device("meta"):
        net = networks.define_D(3, 64, "stylegan2")
        small = networks.define_D(3, 8, "tilestylegan2")
    assert sum(parameter.numel() for parameter in net.parameters()) == 14_263_105
    assert sum(parameter.numel() for parameter in small.parameters()) == 5_894_729
    assert len(net.state_dict()) == 50


def test_weights_are_drawn_from_N_0_1_for_every_init_type():
    for net in (G(ngf=4), D()):
        for name, value in net.named_parameters():
            if name.endswith("noise.weight") or name.endswith("bias"):
                assert not value.any()
            elif value.numel() > 500:
                assert float(value.detach().std()) == pytest.approx(1, abs=0.1)


def test_images_of_any_size_keep_their_size():
    for net, sizes in ((G(), [(32, 32), (37, 50), (1, 5)]), (G(stylegan2_G_num_downsampling=3), [(64, 40), (9, 31)])):
        for size in sizes:
            with torch.no_grad():
                made = net(image(*size))
            assert made.shape == (1, 3, *size) and made.isfinite().all()


def test_features_are_returned_with_the_image_and_encode_only_stops_after_the_last():
    net, x = G("smallstylegan2"), image(32, 32)
    made, along = net(x, [0, 1, 3])
    assert torch.equal(made, net(x)) and torch.equal(along[0], x)
    calls = []
    for layer in (*net.encoder.convs, *net.decoder.convs):
        layer.register_forward_hook(lambda module, *_: calls.append(module))
    alone = net(x, [0, 1], encode_only=True)
    assert calls == [net.encoder.convs[0], net.encoder.convs[1]]
    assert all(torch.equal(a, b) for a, b in zip(along, alone))
    assert torch.equal(net(x, [-1], encode_only=True)[0], along[2])
    with pytest.raises(ValueError, match="layers 0 to 3"):
        net(x, [4])


def test_noise_depends_on_the_seed_of_the_step_and_smallstylegan2_has_none():
    x = image(32, 32)
    net = with_noise(G())
    seeding.seed_step(1, 7)
    first, other = net(x), net(x)
    seeding.seed_step(1, 7)
    assert torch.equal(net(x), first) and not torch.equal(other, first)
    assert not is_per_sample(net) and is_per_sample(net.encoder)
    small = with_noise(G("smallstylegan2"))
    assert is_per_sample(small) and torch.equal(small(x), small(x))


def test_demodulated_weights_have_length_1_and_stay_float32():
    conv = layers.ModulatedConv2d(6, 5, 3)
    with torch.autocast("cpu", torch.bfloat16):
        weight = conv.demodulated()
    assert weight.dtype == torch.float32
    torch.testing.assert_close(weight.flatten(1).norm(dim=1), torch.ones(5))
    with torch.autocast("cpu", torch.bfloat16):
        assert conv(torch.ones(1, 6, 4, 4)).dtype == torch.bfloat16


def test_mixed_precision_gives_about_the_same_image():
    net, x = G().requires_grad_(False), image(32, 32)
    with torch.autocast("cpu", torch.bfloat16):
        half = net(x)
    assert half.dtype == torch.bfloat16
    exact = net(x)
    assert float((half.float() - exact).abs().mean()) < 0.03 * float(exact.std())


def test_doubling_a_constant_map_gives_a_constant_interior():
    conv = layers.ModulatedConv2d(1, 1, 3)
    nn.init.ones_(conv.weight)
    made = conv(torch.ones(1, 1, 8, 8))
    assert made.shape == (1, 1, 16, 16)
    torch.testing.assert_close(made[..., 4:-4, 4:-4], torch.full((1, 1, 8, 8), 3.0))  # 9 weights of 1/3


def test_halving_works_with_odd_sides():
    block = layers.ResBlock(2, 3, halve=True)
    assert block(torch.ones(1, 2, 9, 6)).shape == (1, 3, 4, 3)


def test_recomputed_blocks_have_the_same_gradients():
    plain, recomputing = G(), G()
    blocks = [module for module in recomputing.modules() if isinstance(module, layers.ResBlock)]
    for block in blocks:
        block.recomputes = True
    assert len(blocks) == 7
    for net in (plain, recomputing):
        torch.manual_seed(1)  # for the noise
        net(image(32, 32)).square().sum().backward()
    for one, other in zip(plain.parameters(), recomputing.parameters()):
        torch.testing.assert_close(one.grad, other.grad)


def test_discriminator_logits_depend_on_one_image_and_one_size_is_accepted():
    net, x = D(), image(32, 32, batch=2)
    assert net(x).shape == (2, 1)
    torch.testing.assert_close(net(x)[:1], net(x[:1]))
    assert net(image(39, 33)).shape == (1, 1)
    with pytest.raises(networks.UnfitSize, match=r"64x32 pixels: .*32x32; --netD patchstylegan2"):
        net(image(32, 64))
    assert D(input_nc=6)(image(32, 32, channels=6)).shape == (1, 1)
    with pytest.raises(ValueError, match="size 40: the size must be a power of two"):
        D(stylegan2_size=40)


def test_each_tile_has_its_own_logit():
    net, x = D("tilestylegan2", D_patch_size=16), image(32, 48, batch=2)
    logits = net(x)
    assert logits.shape == (2 * 6, 1)
    torch.testing.assert_close(logits[7:8], net(x[1:, :, :16, 16:32]))
    assert torch.equal(cut_into_tiles(x, 16)[3], x[0, :, 16:, :16])
    with pytest.raises(networks.UnfitSize, match="--D_patch_size 16"):
        net(image(32, 40))


@pytest.mark.parametrize(("netD", "side"), [("patchstylegan2", 8), ("smallpatchstylegan2", 16)])
def test_patch_discriminators_take_any_size(netD, side):
    net = D(netD)
    assert net(image(32, 32)).shape == (1, 1, side, side)
    assert net(image(50, 64)).isfinite().all()


def test_r1_is_the_squared_gradient_at_real_images():
    slope = nn.Linear(12, 1)
    penalty = networks.r1_penalty(lambda x: slope(x.flatten(1)), image(2, 2, batch=5))
    penalty.backward()
    assert float(penalty) == pytest.approx(float(slope.weight.square().sum()))
    torch.testing.assert_close(slope.weight.grad, 2 * slope.weight.detach())


@pytest.mark.parametrize("netG", ["stylegan2", "smallstylegan2"])
@pytest.mark.parametrize(("ngf", "size", "halvings"), [(10, 64, 1), (64, 256, 2), (4, 32, 1)])
def test_the_architecture_is_read_from_the_weights(netG, ngf, size, halvings):
    opt = {"stylegan2_size": size, "stylegan2_G_num_downsampling": halvings}
    with torch.device("meta"):
        state = networks.define_G(1, 3, ngf, netG, opt=argparse.Namespace(**opt)).state_dict()
    flags = generator_flags(state)
    assert (flags.pop("netG"), flags.pop("input_nc"), flags.pop("output_nc")) == (netG, 1, 3)
    with torch.device("meta"):
        again = networks.define_G(1, 3, flags.pop("ngf"), netG, opt=argparse.Namespace(**flags)).state_dict()
    assert {key: value.shape for key, value in again.items()} == {key: value.shape for key, value in state.items()}
