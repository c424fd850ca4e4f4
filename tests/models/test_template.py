"""The template model works: its loss is the equation of its docstring."""

import pytest
import torch
from small_models import NETWORKS, build, feed
from torch.nn.functional import l1_loss


def made(tmp_path, *words):
    return feed(
        build(tmp_path, "--model", "template", "--normG", "instance", *words, small=NETWORKS), dtype=torch.double
    )


def test_the_loss_is_the_weighted_distance_and_decreases(tmp_path):
    model = made(tmp_path, "--lambda_regression", "2", "--no_dropout")
    model.forward()
    first = float(model.backward())
    assert first == pytest.approx(2 * float(l1_loss(model.netG(model.data_A), model.data_B)))
    for _ in range(5):
        model.optimize_parameters()
    assert model.get_current_losses()["G"] < first


def test_translate_gives_the_output_of_forward_and_does_not_change_the_model(tmp_path):
    model = made(tmp_path, "--no_dropout")
    model.forward()
    images = torch.rand(1, 3, 32, 32, dtype=torch.double)
    before = model.output
    assert torch.equal(model.translate(model.data_A)["output"], model.output)
    model.translate(images)
    assert model.output is before and model.data_A is not images
