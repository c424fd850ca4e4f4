"""Discriminators at several scales (--num_D), and feature matching (--lambda_feat)."""

import copy

import pytest
import torch
from distributed.cases import EQUAL, NETS, batch, build, parameters, steps

import models
from models import augment, losses, networks
from models.architectures.patchgan import MultiScaleDiscriminator, NLayerDiscriminator
from models.pix2pix_model import Pix2PixModel
from options.train_options import TrainOptions
from util.errors import InputError
from util.run import states

SLOW = pytest.mark.slow
NAMES = ("pix2pix", "cycle_gan", "cut", *(pytest.param(name, marks=SLOW) for name in ("fastcut", "dclgan", "simdcl")))
SCALES = "--num_D 2 --netD n_layers --n_layers_D 1".split()
FEATURES = EQUAL["pix2pix features"]
ALL = slice(None)


def discriminator(number, **more):
    return networks.define_D(3, 4, "n_layers", n_layers_D=1, norm="instance", init_gain=1.0, num_D=number, **more)


def test_one_scale_gives_the_plain_discriminator():
    net = build(EQUAL["pix2pix"], 1).netD
    assert type(net) is NLayerDiscriminator
    assert "model.0.weight" in net.state_dict()


def test_each_scale_has_the_layers_of_one_discriminator_and_weights_of_its_own():
    net, one = discriminator(3), discriminator(1)
    shapes = {key: value.shape for key, value in one.state_dict().items()}
    expected = {f"scales.{number}.{key}": shape for number in range(3) for key, shape in shapes.items()}
    assert {key: value.shape for key, value in net.state_dict().items()} == expected
    weights = [net.state_dict()[f"scales.{number}.model.0.weight"] for number in range(3)]
    assert not torch.equal(weights[0], weights[1]) and not torch.equal(weights[1], weights[2])


def test_later_scales_get_the_halved_image():
    net, images = discriminator(3), torch.rand(2, 3, 32, 48)
    found = net(images)
    assert torch.equal(found[0], net.scales[0](images))
    expected = torch.ones(1, 1, 3, 3)
    inside = torch.nn.functional.conv2d(torch.ones(1, 1, 32, 48), expected, stride=2, padding=1)  # pixels in each mean
    sums = torch.nn.functional.conv2d(images, expected.expand(3, 1, 3, 3), stride=2, padding=1, groups=3)
    torch.testing.assert_close(found[1], net.scales[1](sums / inside))
    assert [tuple(each.shape[-2:]) for each in found] == [(14, 22), (6, 10), (2, 4)]


@pytest.mark.parametrize("netD", ["basic", "n_layers", "pixel"])
def test_feature_maps_are_the_outputs_of_the_activations_and_do_not_change_the_logits(netD):
    net = networks.define_D(3, 4, netD, n_layers_D=2, norm="instance", no_antialias=False)
    images, seen = torch.rand(1, 3, 32, 32), []
    for module in net.modules():
        if isinstance(module, torch.nn.LeakyReLU):
            module.register_forward_hook(lambda module, inputs, output: seen.append(output))
    logits, maps = net(images, features=True)
    assert len(maps) == {"basic": 4, "n_layers": 3, "pixel": 2}[netD]
    assert [id(each) for each in maps] == [id(each) for each in seen]
    assert torch.equal(logits, net(images))


def test_an_image_that_is_too_small_for_the_last_scale_is_refused():
    net = discriminator(2)
    assert [each.numel() for each in net(torch.rand(1, 3, 12, 12))] == [16, 1]
    with pytest.raises(networks.UnfitSize, match="--num_D 2: an image of 11x20 pixels has a side under 12"):
        net(torch.rand(1, 3, 11, 20))
    with pytest.raises(InputError, match=r"--num_D 3: --crop_size 64 is too small .* it must be at least 96"):
        build(["--model", "cycle_gan", *NETS, "--load_size", "64", "--crop_size", "64", "--num_D", "3"], 1)


@pytest.mark.parametrize("mode", losses.GAN_LOSSES)
@pytest.mark.parametrize("real", [True, False])
def test_the_adversarial_term_is_the_sum_over_the_scales(mode, real):
    criterion, maps = losses.GANLoss(mode), [torch.randn(2, 1, 5, 5), torch.randn(2, 1, 3, 3)]
    expected = sum(criterion(each, real).mean() for each in maps)
    torch.testing.assert_close(criterion(maps, real), expected)


def test_penalties_are_those_of_each_discriminator():
    net, real, fake = discriminator(2), torch.rand(2, 3, 32, 32), torch.rand(2, 3, 32, 32)

    def halved(images):
        return torch.nn.functional.avg_pool2d(images, 3, 2, 1, count_include_pad=False)

    alone = [net.scales[0], lambda images: net.scales[1](halved(images))]
    torch.testing.assert_close(losses.r1_penalty(net, real), sum(losses.r1_penalty(each, real) for each in alone))
    for_all, for_each = (
        [losses.cal_gradient_penalty(each, real, fake, "cpu", type="real")[0] for each in nets]
        for nets in ([net], alone)
    )
    torch.testing.assert_close(for_all[0], sum(for_each))


@pytest.mark.parametrize("name", NAMES)
def test_every_model_trains_all_scales(name):
    model = build([*EQUAL[name], *SCALES], 2, double=False)
    before = parameters(model)
    steps(model, ALL, 2, count=2)
    after = parameters(model)
    for key, value in after.items():
        assert value.isfinite().all(), key
    for net in model.discriminator_losses:
        assert isinstance(getattr(model, f"net{net}"), MultiScaleDiscriminator)
        for number in range(2):
            key = f"{net}.scales.{number}.model.0.weight"
            assert not torch.equal(after[key], before[key])


def test_feature_matching_equals_values_computed_by_hand():
    model = build(FEATURES, 2)
    steps(model, ALL, 2, count=1)
    model.forward()
    model.backward_G()
    pairs = [torch.cat((model.real_A, image), 1) for image in (model.fake_B, model.real_B)]
    maps = [[], []]
    for found, pair in zip(maps, pairs):
        for number, net in enumerate(model.netD.scales):
            x = pair if number == 0 else torch.nn.functional.avg_pool2d(pair, 3, 2, 1, count_include_pad=False)
            for layer in net.model:
                x = layer(x)
                if isinstance(layer, torch.nn.LeakyReLU):
                    found.append(x)
    expected = 10 * sum((one - other).abs().mean() for one, other in zip(*maps))
    torch.testing.assert_close(model.loss_G_feat, expected)
    torch.testing.assert_close(model.loss_G, model.loss_G_GAN + model.loss_G_L1 + expected)
    assert "G_feat" in model.get_current_losses()


def test_feature_matching_moves_the_generator_towards_the_features_of_real_images():
    a, b = torch.rand(2, 3, 4, 4, requires_grad=True), torch.rand(2, 3, 4, 4, requires_grad=True)
    losses.feature_matching([a], [b]).backward()
    assert b.grad is None and torch.equal(a.grad, (a - b).sign() / a.numel())
    assert losses.feature_matching([a], [a]) == 0


def test_diffaugment_draws_the_same_for_both_sides_of_feature_matching(monkeypatch):
    drawn = []
    original = augment.DiffAugment.augment
    monkeypatch.setattr(
        augment.DiffAugment, "augment", lambda own, images, draws: drawn.append(draws) or original(own, images, draws)
    )
    model = build([*FEATURES, "--diffaugment", "color,translation,cutout"], 2)
    steps(model, ALL, 2, count=1)
    assert torch.equal(drawn[-1], drawn[-2])
    assert not torch.equal(drawn[-1], drawn[0][:2])
    steps(model, ALL, 2, count=1)
    assert torch.equal(drawn[-1], drawn[-2])


def test_a_batch_in_parts_gives_the_same_step():
    whole = build(FEATURES, 4)
    parts = build([*FEATURES, "--accumulate", "2"], 2)
    for model in (whole, parts):
        steps(model, ALL, 4, count=2)
    for key, value in parameters(whole).items():
        torch.testing.assert_close(parameters(parts)[key], value, rtol=0, atol=1e-9, msg=key)
    assert parts.loss_G_feat.item() == pytest.approx(whole.loss_G_feat.item(), abs=1e-9)


@pytest.mark.parametrize(
    "more",
    [
        "--precision bf16 --channels_last",
        *(pytest.param(more, marks=SLOW) for more in ("--accumulate 2 --ema 0.9", "--grad_checkpoint")),
    ],
)
def test_it_works_with_the_other_options(more):
    stable = "--spectral_norm --lambda_r1 1 --diffaugment color,cutout --label_smoothing 0.1".split()
    model = build([*FEATURES, *stable, *more.split(), "--gan_mode", "lsgan"], 2, double=False)
    steps(model, ALL, 2 * model.opt.accumulate, count=2)
    assert all(value.isfinite().all() for value in parameters(model).values())
    assert "scales.1.model.0.parametrizations.weight.original" in model.netD.state_dict()
    assert all(value == value for value in model.get_current_losses().values())


def test_a_resumed_run_is_exact():
    model = build(FEATURES, 2)
    steps(model, ALL, 2, count=2)
    state = copy.deepcopy(states.model_state(model))
    resumed = build([*FEATURES, "--seed", "9"], 2)
    states.load_model_state(resumed, state, "here")
    for each in (model, resumed):
        each.set_input(batch(7, 2, torch.double))
        each.optimize_parameters()
    for key, value in parameters(model).items():
        assert torch.equal(parameters(resumed)[key], value), key


REFUSED = {
    "--model stargan --num_D 2": r"--num_D: --model stargan doesn't read it; its discriminator also recognises domains",
    "--model cycle_gan --netD patchstylegan2 --num_D 2": r"--num_D 2: --netD patchstylegan2 is not a PatchGAN",
    "--model sincut --num_D 2": r"--num_D 2: --netD stylegan2 is not a PatchGAN.*; choose --netD basic",
    "--model pix2pix --netD patchstylegan2 --lambda_feat 10": r"--lambda_feat 10.0: --netD patchstylegan2 is not",
    "--model cycle_gan --lambda_feat 10": r"flag of --model pix2pix .* true image, which only paired data has",
    "--model cut --lambda_feat 10": r"flag of --model pix2pix .* true image, which only paired data has",
    "--model stargan --lambda_feat 10": r"flag of --model pix2pix .* true image, which only paired data has",
    "--model cycle_gan --num_D 0": r"--num_D: '0' is not allowed; must be at least 1 and at most 5",
    "--model template --num_D 2 --netD pixel": r"--num_D 2: TemplateModel does not build its discriminators by make_D",
}


@pytest.mark.parametrize("words", REFUSED)
def test_settings_that_do_not_fit_are_refused_with_one_line(words):
    model = words.split()[1]
    with pytest.raises(InputError, match=REFUSED[words]) as refusal:
        build([*EQUAL[model], *words.split()[2:]], 1)
    assert "\n" not in str(refusal.value)


class WithOwnLoss(Pix2PixModel):
    """Overrides the generator's loss as files for the original program do."""

    def backward_G(self):
        self.loss_G_GAN = self.criterionGAN(self.netD(torch.cat((self.real_A, self.fake_B), 1)), True)
        self.loss_G_L1 = self.criterionL1(self.fake_B, self.real_B) * self.opt.lambda_L1
        (self.loss_G_GAN + self.loss_G_L1).backward()


def test_an_override_without_the_term_is_refused_and_several_scales_work_with_it(monkeypatch):
    monkeypatch.setattr(models, "find_model_using_name", lambda _: WithOwnLoss)
    model = build(FEATURES, 1)
    with pytest.raises(InputError, match=r"--lambda_feat 10.0: the generator's loss of WithOwnLoss lacks the term"):
        steps(model, ALL, 1, count=1)
    model = build(FEATURES, 1)
    model.optimizer_G.register_step_post_hook(lambda *_: None)  # as a plug-in may
    with pytest.raises(InputError, match="lacks the term"):
        steps(model, ALL, 1, count=1)
    model = build([*EQUAL["pix2pix"], *SCALES], 1)
    steps(model, ALL, 1, count=2)
    assert model.loss_D_real.ndim == 0


def test_a_criterion_of_one_map_is_refused(monkeypatch):
    class WithOwnCriterion(Pix2PixModel):
        def __init__(self, opt):
            super().__init__(opt)
            self.criterionGAN = lambda prediction, is_real: prediction.mean()

    monkeypatch.setattr(models, "find_model_using_name", lambda _: WithOwnCriterion)
    with pytest.raises(InputError, match=r"--num_D 2: WithOwnCriterion has no GANLoss as criterionGAN"):
        build([*EQUAL["pix2pix"], *SCALES], 1)


def test_the_number_of_scales_is_a_flag_of_the_networks():
    parser = TrainOptions(["--dataroot", "none"])
    parser.gather_options()
    assert parser.parser.declaration_of("num_D").scope == "network"
