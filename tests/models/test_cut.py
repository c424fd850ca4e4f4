"""CUT and FastCUT: the terms of the loss, and the mirrored batches."""

import pytest
import torch
from small_models import build, feed, options, train


def test_fastcut_is_a_mode_of_cut_and_a_model(tmp_path):
    one, other = (vars(options(tmp_path, *words.split(), "--seed", "1"))
                  for words in ("--model fastcut", "--model cut --CUT_mode fastcut"))  # fmt: skip
    assert {key: (one[key], other[key]) for key in one if one[key] != other[key]} == {
        "model": ("fastcut", "cut"),
        "CUT_mode": ("FastCUT", "fastcut"),
    }
    chosen = options(tmp_path, "--model", "fastcut", "--lambda_NCE", "3", "--n_epochs", "7")
    assert (chosen.lambda_NCE, chosen.n_epochs, chosen.nce_idt) == (3.0, 7, False)


def test_identity_term_is_off_in_fastcut(tmp_path):
    model = build(tmp_path, "--model", "fastcut")
    train(model, 1)
    assert "NCE_Y" not in model.loss_names and "idt_B" not in model.visual_names


def test_with_lambda_GAN_0_the_discriminator_is_not_run(tmp_path):
    model = build(tmp_path, "--model", "cut", "--lambda_GAN", "0")
    feed(model)
    model.forward()
    model.netD.register_forward_hook(lambda *_: pytest.fail("asked"))
    model.compute_G_loss().backward()
    assert model.loss_G_GAN == 0 and model.netG.model[1].weight.grad.any()


def test_flip_equivariance_mirrors_some_steps_and_only_the_translation(tmp_path):
    model = build(tmp_path, "--model", "fastcut")
    torch.manual_seed(0)
    assert {model.draw_flip() for _ in range(20)} == {True, False}
    feed(model)
    made = {}
    for flipped in (False, True):
        model.draw_flip = lambda flipped=flipped: flipped
        model.forward()
        made[flipped] = model.fake_B.detach()
    assert torch.equal(made[True], model.netG(model.real_A.flip(3)).detach())
    assert not torch.allclose(made[True], made[False])
