"""Options for stable training: each does what its source says, in every model, or is refused in one line."""

import pytest
import torch
from distributed.cases import EQUAL, batch, parameters

from models import augment, create_model, prepare
from options.train_options import TrainOptions
from util.errors import InputError
from util.numerics import seeding

NAMES = ("pix2pix", "cycle_gan", "cut", "fastcut", "sincut", "dclgan", "simdcl", "stargan")


def build(name, *words):
    """A small model, ready for steps in float32."""
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
def test_generators_and_discriminators_have_rates_of_their_own(name, rest):
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


def test_a_rate_that_nothing_reads_is_reported(capsys):
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
def test_a_pair_is_augmented_alike_and_each_sample_by_itself(kind):
    images = torch.rand(2, 3, 16, 16) - 0.5
    pair = augment.DiffAugment([kind], (3, 3)).augment(torch.cat((images, images), 1), draws_of(2))
    assert torch.equal(pair[:, :3], pair[:, 3:])
    assert not torch.equal(pair[:, :3], images)
    same = augment.DiffAugment([kind], (3,)).augment(images[:1].expand(2, -1, -1, -1), draws_of(2))
    assert not torch.equal(same[0], same[1])


def test_colour_leaves_label_maps_alone():
    images = torch.rand(2, 4, 8, 8)
    changed = augment.DiffAugment(["color"], (1, 3)).augment(images, draws_of(2))
    assert torch.equal(changed[:, :1], images[:, :1])
    assert not torch.equal(changed[:, 1:], images[:, 1:])
    neutral = torch.full((2, 3), 0.5)
    torch.testing.assert_close(augment.color(images[:, :3], neutral), images[:, :3])


@pytest.mark.parametrize(("draw", "shift"), [(0.0, -2), (0.5, 0), (0.999, 2)])
def test_translation_moves_by_an_eighth_and_fills_with_zeros(draw, shift):
    images = torch.arange(1.0, 2 * 16 * 16 + 1).view(2, 1, 16, 16)
    moved = augment.translation(images, torch.tensor([[draw, 0.5], [0.5, draw]]))
    padded = torch.nn.functional.pad(images, (2, 2, 2, 2))
    assert torch.equal(moved[0], padded[0, :, 2 - shift : 18 - shift, 2:18])
    assert torch.equal(moved[1], padded[1, :, 2:18, 2 - shift : 18 - shift])


@pytest.mark.parametrize(("draw", "rows"), [(0.0, range(0, 4)), (0.5, range(4, 12)), (0.999, range(12, 16))])
def test_cutout_hides_half_of_each_side(draw, rows):
    found = augment.cutout(torch.ones(1, 1, 16, 16), torch.tensor([[draw, 0.5]]))[0, 0]
    expected = torch.ones(16, 16)
    expected[rows.start : rows.stop, 4:12] = 0
    assert torch.equal(found, expected)


def test_gradients_of_first_and_second_order_pass_the_augmentation():
    draws, change = draws_of(1), augment.DiffAugment(ALL.split(","), (3,))
    images = torch.rand(1, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: change.augment(x, draws), images)
    assert torch.autograd.gradgradcheck(lambda x: change.augment(x, draws).square(), images)


def test_two_batches_draw_the_same_in_one_pass_or_two():
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
def test_every_discriminator_judges_augmented_images_only(name, monkeypatch):
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


def test_bad_words_of_diffaugment_and_models_without_a_discriminator_are_refused():
    with pytest.raises(InputError, match=r"--diffaugment colour: choose color, translation, cutout; did you mean 'col"):
        build("cut", "--diffaugment", "colour,cutout")
    with pytest.raises(InputError, match=r"--diffaugment : choose"):
        build("cut", "--diffaugment", "")
    with pytest.raises(InputError, match=r"--diffaugment color: .* judges images of 1 and 1; leave the word color out"):
        build("pix2pix", "--diffaugment", "color", "--input_nc", "1", "--output_nc", "1")
    with pytest.raises(InputError, match=r"--diffaugment: --model template declares no discriminator_losses"):
        build("template", "--diffaugment", "cutout")
    with pytest.raises(InputError, match="not of 4"):
        augment.DiffAugment(["color"]).augment(torch.rand(1, 4, 8, 8), draws_of(1))
