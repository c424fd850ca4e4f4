"""Options for stable training: each follows its source in every model, or is refused with one line."""

import pytest
import torch
from distributed.cases import EQUAL, batch, parameters

from models import augment, create_model, losses, prepare
from options.train_options import TrainOptions
from util.errors import InputError
from util.numerics import seeding
from util.run import states

NAMES = ("pix2pix", "cycle_gan", "cut", "fastcut", "sincut", "dclgan", "simdcl", "stargan")


def build(name, *words):
    """A small model, ready for training steps in float32."""
    where = ["--dataroot", "none", "--device", "cpu", "--seed", "5", "--batch_size", "2"]
    opt = TrainOptions([*EQUAL[name], *where, *words]).parse()
    seeding.seed_build(opt.seed)
    model = create_model(opt)
    prepare(model, [], opt)
    return model


def rates(name, *words):
    return [group["lr"] for optimizer in build(name, *words).optimizers for group in optimizer.param_groups]


@pytest.mark.parametrize(
    ("name", "rest"), [("pix2pix", []), ("cycle_gan", []), ("cut", [2e-4]), ("dclgan", [1e-3]), ("sincut", [2e-3])]
)
def test_lr_G_and_lr_D_set_separate_learning_rates(name, rest):
    lr = 2e-3 if name == "sincut" else 2e-4
    assert rates(name) == [lr, lr, *rest]
    assert rates(name, "--lr_G", "0.003") == [0.003, lr, *rest]
    assert rates(name, "--lr_D", "0.004") == [lr, 0.004, *rest]


def test_scaling_and_schedules_follow_each_rate(capsys):
    words = ["--lr_G", "0.1", "--lr_D", "0.4", "--n_epochs", "1", "--n_epochs_decay", "1"]
    model = build("cycle_gan", *words, "--accumulate", "4", "--scale_lr", "sqrt")
    assert [group["lr"] for optimizer in model.optimizers for group in optimizer.param_groups] == [0.2, 0.8]
    assert model.opt.lr == pytest.approx(2 * 0.0002)
    for optimizer in model.optimizers:
        optimizer.step()
    model.update_learning_rate()
    assert [group["lr"] for optimizer in model.optimizers for group in optimizer.param_groups] == [0.1, 0.4]
    assert "no effect" not in capsys.readouterr().out


def test_a_learning_rate_without_effect_is_reported(capsys):
    with pytest.raises(InputError, match=r"--lr_G: --model stargan doesn't read it; it has --g_lr"):
        build("stargan", "--lr_G", "0.1")
    build("template", "--lr_G", "0.1", "--lr_D", "0.1")
    printed = capsys.readouterr().out
    assert "--lr_D: TemplateModel is built without it: no effect" in printed
    assert "--lr_G:" not in printed


ALL = "color,translation,cutout"


def draws_of(images, seed=1):
    return torch.rand(images, augment.DRAWS, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("kind", ALL.split(","))
def test_images_of_a_pair_are_augmented_alike_and_samples_differently(kind):
    images = torch.rand(2, 3, 16, 16) - 0.5
    pair = augment.DiffAugment([kind], (3, 3)).augment(torch.cat((images, images), 1), draws_of(2))
    assert torch.equal(pair[:, :3], pair[:, 3:])
    assert not torch.equal(pair[:, :3], images)
    same = augment.DiffAugment([kind], (3,)).augment(images[:1].expand(2, -1, -1, -1), draws_of(2))
    assert not torch.equal(same[0], same[1])


def test_color_does_not_change_label_maps():
    images = torch.rand(2, 4, 8, 8)
    changed = augment.DiffAugment(["color"], (1, 3)).augment(images, draws_of(2))
    assert torch.equal(changed[:, :1], images[:, :1])
    assert not torch.equal(changed[:, 1:], images[:, 1:])
    neutral = torch.full((2, 3), 0.5)
    torch.testing.assert_close(augment.color(images[:, :3], neutral), images[:, :3])


@pytest.mark.parametrize(("draw", "shift"), [(0.0, -2), (0.5, 0), (0.999, 2)])
def test_translation_shifts_by_at_most_an_eighth_and_fills_with_zeros(draw, shift):
    images = torch.arange(1.0, 2 * 16 * 16 + 1).view(2, 1, 16, 16)
    moved = augment.translation(images, torch.tensor([[draw, 0.5], [0.5, draw]]))
    padded = torch.nn.functional.pad(images, (2, 2, 2, 2))
    assert torch.equal(moved[0], padded[0, :, 2 - shift : 18 - shift, 2:18])
    assert torch.equal(moved[1], padded[1, :, 2:18, 2 - shift : 18 - shift])


@pytest.mark.parametrize(("draw", "rows"), [(0.0, range(0, 4)), (0.5, range(4, 12)), (0.999, range(12, 16))])
def test_cutout_sets_half_of_each_side_to_zero(draw, rows):
    found = augment.cutout(torch.ones(1, 1, 16, 16), torch.tensor([[draw, 0.5]]))[0, 0]
    expected = torch.ones(16, 16)
    expected[rows.start : rows.stop, 4:12] = 0
    assert torch.equal(found, expected)


def test_first_and_second_derivatives_pass_the_augmentation():
    draws, change = draws_of(1), augment.DiffAugment(ALL.split(","), (3,))
    images = torch.rand(1, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: change.augment(x, draws), images)
    assert torch.autograd.gradgradcheck(lambda x: change.augment(x, draws).square(), images)


def test_a_joint_pass_draws_the_same_numbers_as_two_passes():
    torch.manual_seed(3)
    one = torch.rand(6, augment.DRAWS)
    torch.manual_seed(3)
    assert torch.equal(one, torch.cat([torch.rand(3, augment.DRAWS) for _ in range(2)]))


def run(model, count=2, dtype=torch.float32):
    for net in model.networks_by_name().values():
        net.to(dtype)
    for step in range(1, count + 1):
        seeding.seed_step(5, step)
        model.set_input(batch(step, 2, dtype))
        model.optimize_parameters()
    return parameters(model)


@pytest.mark.parametrize("name", NAMES)
def test_every_discriminator_gets_augmented_images_only(name, monkeypatch):
    made = []
    original = augment.DiffAugment.augment
    monkeypatch.setattr(augment.DiffAugment, "augment", lambda *given: made.append(original(*given)) or made[-1])
    model = build(name, "--diffaugment", ALL)
    seen = []
    for each in model.discriminator_losses:
        net = model.networks_by_name()[each]
        forward = net.forward
        net.forward = lambda x, forward=forward: seen.append(x) or forward(x)
    assert all(value.isfinite().all() for value in run(model, 2).values())
    assert len(seen) >= 4 and [id(x) for x in seen] == [id(x) for x in made]


@pytest.mark.parametrize("name", ["pix2pix", "cycle_gan"])
def test_augmented_steps_are_repeatable_and_the_same_without_economies(name):
    words = ("--diffaugment", ALL)
    found, again, apart, plain = (
        run(build(name, *more), dtype=torch.float64) for more in (words, words, (*words, "--economies", "no"), ())
    )
    assert all(torch.equal(found[key], again[key]) for key in found)
    assert all(torch.allclose(found[key], apart[key], atol=1e-7) for key in found)
    assert not all(torch.allclose(found[key], plain[key], atol=1e-7) for key in found)


def test_bad_values_of_diffaugment_and_models_without_a_discriminator_are_refused():
    with pytest.raises(InputError, match=r"--diffaugment colour: choose color, translation, cutout; did you mean 'col"):
        build("cut", "--diffaugment", "colour,cutout")
    with pytest.raises(InputError, match=r"--diffaugment : choose"):
        build("cut", "--diffaugment", "")
    with pytest.raises(InputError, match=r"--diffaugment color: .* gets images of 1 and 1; leave color out"):
        build("pix2pix", "--diffaugment", "color", "--input_nc", "1", "--output_nc", "1")
    with pytest.raises(InputError, match=r"--diffaugment: --model template declares no discriminator_losses"):
        build("template", "--diffaugment", "cutout")
    with pytest.raises(InputError, match="not of 4"):
        augment.DiffAugment(["color"]).augment(torch.rand(1, 4, 8, 8), draws_of(1))


def test_r1_is_the_gradient_of_the_logits_at_real_images():
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 3, bias=False))
    real = torch.rand(4, 3, 2, 2)
    expected = net[1].weight.sum(0).square().sum()  # the gradient of the sum of logits is the same at every image
    torch.testing.assert_close(losses.r1_penalty(net, real), expected)
    torch.testing.assert_close(losses.lazy_r1(net, real, 3.0, 4, 8), 6 * expected)
    assert losses.lazy_r1(net, real, 3.0, 4, 9) == losses.lazy_r1(net, real, 0.0, 1, 0) == 0.0
    losses.lazy_r1(net, real, 3.0, 1, 0).backward()
    torch.testing.assert_close(net[1].weight.grad, 3 * net[1].weight.detach().sum(0).expand(3, -1))


def test_lazy_r1_is_computed_in_each_nth_step_also_after_a_resume(monkeypatch):
    model, steps = build("cycle_gan", "--lambda_r1", "2", "--lazy_r1", "3"), []
    original = losses.r1_penalty
    monkeypatch.setattr(losses, "r1_penalty", lambda *given: steps.append(model._steps_begun) or original(*given))
    run(model, 5)
    assert steps == [1, 1, 4, 4]  # of two discriminators
    state = states.model_state(model)
    assert state["steps"] == 5
    model = build("cycle_gan", "--lambda_r1", "2", "--lazy_r1", "3")
    states.load_model_state(model, state, "here")
    run(model, 2)
    assert steps[4:] == [7, 7]


@pytest.mark.parametrize("mode", ["vanilla", "lsgan"])
def test_smoothing_changes_the_label_of_real_images_only(mode):
    criterion, real, fake = losses.GANLoss(mode), torch.randn(2, 1, 3, 3), torch.randn(2, 1, 3, 3)
    _, plain_real, plain_fake = losses.discriminator_loss(criterion, real, fake)
    _, smooth_real, smooth_fake = losses.discriminator_loss(criterion, real, fake, 0.1)
    target = torch.full_like(real, 0.9)
    form = torch.nn.functional.mse_loss if mode == "lsgan" else torch.nn.functional.binary_cross_entropy_with_logits
    torch.testing.assert_close(smooth_real, form(real, target))
    assert torch.equal(smooth_fake, plain_fake) and not torch.equal(smooth_real, plain_real)


def test_spectral_norm_bounds_every_layer_and_learns():
    model = build("cycle_gan", "--spectral_norm")
    run(model, 3)
    net = model.netD_A.eval()
    for layer in net.modules():
        if isinstance(layer, torch.nn.Conv2d):
            assert torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2).item() == pytest.approx(1, abs=0.1)
    assert "model.0.parametrizations.weight.original" in net.state_dict()
    assert not any("parametrizations" in key for key in model.netG_A.state_dict())


STABLE = {
    "r1": ("--lambda_r1", "1", "--lazy_r1", "2"),
    "smoothing": ("--label_smoothing", "0.1", "--gan_mode", "lsgan"),
    "spectral norm": ("--spectral_norm",),
}
REFUSED = {
    ("stargan", "r1"): "has the penalty of --lambda_gp",
    ("stargan", "smoothing"): "always WGAN",
    ("sincut", "r1"): "it has --lambda_R1",
    ("sincut", "spectral norm"): "scale their weights themselves",
}


@pytest.mark.parametrize("option", STABLE)
@pytest.mark.parametrize("name", NAMES)
def test_each_model_makes_a_step_with_each_option(name, option):
    if (name, option) in REFUSED:
        with pytest.raises(InputError, match=REFUSED[name, option]):
            build(name, *STABLE[option])
        return
    plain = ("--gan_mode", "lsgan") if option == "smoothing" else ()
    found, without = run(build(name, *STABLE[option]), 1), run(build(name, *plain), 1)
    assert all(value.isfinite().all() for value in found.values())
    kept = [key for key in found.keys() & without.keys() if key.startswith("D")]
    assert any(not torch.equal(found[key], without[key]) for key in kept)


def test_options_that_do_not_fit_are_refused_or_reported(capsys):
    with pytest.raises(InputError, match=r"--label_smoothing 0.1: --gan_mode hinge has no labels; choose vanilla or"):
        build("cycle_gan", "--label_smoothing", "0.1", "--gan_mode", "hinge")
    with pytest.raises(InputError, match=r"--lazy_r1 4: .* give --lambda_r1"):
        build("cycle_gan", "--lazy_r1", "4")
    with pytest.raises(InputError, match="--label_smoothing"):
        build("cycle_gan", "--label_smoothing", "0.7")
    build("template", "--label_smoothing", "0.1", "--lambda_r1", "1", "--spectral_norm")
    printed = capsys.readouterr().out
    assert all(f"--{name}: TemplateModel" in printed for name in ("label_smoothing", "lambda_r1", "spectral_norm"))


@pytest.mark.parametrize("more", ["--precision bf16", "--accumulate 2 --batch_size 1", "--ema 0.9"])
def test_all_options_can_be_combined(more):
    words = [word for option in STABLE.values() for word in option]
    found = run(build("pix2pix", *words, "--lr_D", "0.001", "--diffaugment", ALL, *more.split()), 2)
    assert all(value.isfinite().all() for value in found.values())
