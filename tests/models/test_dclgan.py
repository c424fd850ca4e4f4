"""DCLGAN: its alias, channels, and the reported losses of its discriminators."""

import pytest
import torch
from small_models import build, options, train

import models
from models import create_model


def test_dcl_is_an_alias_of_dclgan_and_printed_once(tmp_path, capsys):
    models.own_name.cache_clear()
    opt = options(tmp_path, "--model", "dcl")
    assert opt.model == "dclgan" and type(create_model(opt)).__name__ == "DCLGANModel"
    assert capsys.readouterr().out.count("--model dcl is dclgan here") == 1
    assert options(tmp_path, "--model", "dcl", "--DCL_mode", "DCL").model == "dclgan"


def test_channels_may_differ_without_the_identity_loss(tmp_path):
    model = build(tmp_path, "--model", "dclgan", "--output_nc", "1", "--nce_idt", "no")
    generator = torch.Generator().manual_seed(0)
    A, B = torch.rand(1, 3, 32, 32, generator=generator), torch.rand(1, 1, 32, 32, generator=generator)
    model.set_input({"A": A, "B": B, "A_paths": ["a"], "B_paths": ["b"]})
    model.optimize_parameters()
    assert model.fake_B.shape[1] == 1 and model.fake_A.shape[1] == 3
    assert model.netF1.mlp_0[0].in_features == model.netF2.mlp_0[0].in_features


def test_without_a_weight_the_identity_losses_are_reported_as_0(tmp_path):
    """As released: --nce_idt decides whether the identity images are made, --lambda_IDT only weights them."""
    model = build(tmp_path, "--model", "dclgan", "--lambda_IDT", "0")
    losses = train(model, 1)
    assert list(losses)[-2:] == ["idt_B", "idt_A"] and losses["idt_A"] == losses["idt_B"] == 0
    assert model.idt_A.shape == model.real_B.shape and "idt_A" in model.visual_names


def test_reported_discriminator_losses_carry_the_released_weight(tmp_path):
    plain, doubled = (
        train(build(tmp_path, "--model", "dclgan", "--lambda_GAN", weight), 1) for weight in ("1", "2")
    )  # losses of the first step
    assert doubled["D_A"] == pytest.approx(2 * plain["D_A"], rel=1e-5)
    one, other = (train(build(tmp_path, "--model", "simdcl", "--lambda_GAN", weight), 1) for weight in ("1", "2"))
    assert other["D_A"] == pytest.approx(one["D_A"], rel=1e-5)
