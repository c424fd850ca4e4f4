"""--accumulate: N micro-batches of one image give the step of a batch of N images."""

import pytest
import torch
from distributed.cases import EQUAL, IN_PARTS, batch, build, parameters, same_draws_for_every_image, steps

from models.base_model import BaseModel
from util.errors import InputError
from util.numerics import seeding


@pytest.mark.parametrize("name", IN_PARTS)
def test_accumulate_gives_the_weights_of_one_batch(name):
    with same_draws_for_every_image():
        whole, parts = build(EQUAL[name], 3), build([*EQUAL[name], "--accumulate", "3"], 1)
        start = parameters(whole)
        for model in (whole, parts):
            steps(model, slice(None), 3)
    for key, value in parameters(whole).items():
        torch.testing.assert_close(
            parameters(parts)[key], value, rtol=0, atol=1e-6, msg=lambda m, key=key: f"{key}: {m}"
        )
    assert max(float((value - start[key]).abs().max()) for key, value in parameters(whole).items()) > 4e-4
    losses = parts.get_current_losses()
    for key, value in whole.get_current_losses().items():
        assert losses[key] == pytest.approx(value, abs=1e-5), key


def test_a_short_last_micro_batch_is_weighted_by_its_images():
    words = EQUAL["cycle_gan"]
    whole, parts = build(words, 3), build([*words, "--accumulate", "2"], 2)
    for model in (whole, parts):
        steps(model, slice(None), 3, count=2)
    for key, value in parameters(whole).items():
        torch.testing.assert_close(parameters(parts)[key], value, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["pix2pix", "cycle_gan"])
def test_networks_get_one_micro_batch_at_a_time(name):
    """No network gets a batch larger than a micro-batch."""
    model = build([*EQUAL[name], "--accumulate", "4"], 1)
    seen = []
    for net in model.networks_by_name().values():
        net.register_forward_pre_hook(lambda net, inputs: seen.append(len(inputs[0])))
    steps(model, slice(None), 4, count=1)
    assert max(seen) <= 2  # two if a joint pass has two batches of one image


def test_the_discriminator_gets_the_images_made_before_the_generators_update():
    model = build([*EQUAL["cycle_gan"], "--accumulate", "2"], 1)
    model.set_input(batch(1, 2, torch.float64))
    seeding.seed_step(1, 0)
    with torch.no_grad():
        expected = torch.cat([model.netG_A(model.real_A[i : i + 1]) for i in range(2)])
    judged = []
    original = model.backward_D_A
    model.backward_D_A = lambda: judged.append(model.fake_B) or original()
    model.optimize_parameters()
    torch.testing.assert_close(torch.cat(judged), expected)
    assert not any(image.requires_grad for image in judged)


def test_dropout_differs_between_micro_batches_and_not_between_the_updates_of_D_and_G():
    words = [word for word in EQUAL["pix2pix"] if word != "--no_dropout"]
    model = build([*words, "--accumulate", "2"], 1)
    made = []
    forward = model.forward
    model.forward = lambda: forward() or made.append(model.fake_B.detach())
    images = batch(1, 2, torch.float64)
    images["A"][1] = images["A"][0]
    seeding.seed_step(1, 0)
    model.set_input(images)
    model.optimize_parameters()
    assert len(made) == 4  # for the discriminator, then for the generator, whose weights are the same
    assert torch.equal(made[0], made[2]) and torch.equal(made[1], made[3])
    assert not torch.equal(made[0], made[1])


@pytest.mark.parametrize("name", ["dclgan", "simdcl"])
def test_models_that_compare_samples_refuse_accumulate(name):
    with pytest.raises(InputError, match=rf"--accumulate 2: --model {name} can't divide a batch.*--batch_size"):
        build([*EQUAL[name], "--accumulate", "2"], 1)


def test_negatives_from_the_minibatch_refuse_accumulate():
    with pytest.raises(InputError, match="--nce_includes_all_negatives_from_minibatch"):
        build([*EQUAL["cut all negatives"], "--accumulate", "2"], 1)


def test_plug_ins_do_not_accept_accumulate_by_default():
    assert BaseModel.in_parts is False
