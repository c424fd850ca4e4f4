"""Warnings about training: a discriminator that has won, inputs of one colour, a collapsed generator."""

import pytest
import torch
from PIL import Image
from test_programs import CYCLE_GAN, train, unpaired  # noqa: F401

from util.show.health import Health, mean_sizes

SHORT = ("--seed", "5", "--n_epochs_decay", "0", "--save_latest_freq", "1")


def health(translations=None, **discriminator_losses):
    said = []
    return Health(said.append, discriminator_losses, translations or {"fake_B": ("real_A", "real_B")}), said


def test_a_discriminator_that_has_won_is_reported_once():
    watcher, said = health(D_A=("D_A",), D_B=("D_B",))
    for _ in range(100):
        watcher.losses({"D_A": 1e-5, "D_B": 0.3, "G_A": 0.0})
    assert len(said) == 1
    assert "D_A" in said[0]


def test_a_discriminator_whose_loss_recovers_is_not_reported():
    watcher, said = health(D=("D_real", "D_fake"))
    for i in range(200):
        watcher.losses({"D_real": 0.5 if i % 20 == 0 else 0.0, "D_fake": 0.0})
    assert said == []


def test_the_declared_losses_of_a_discriminator_are_averaged_by_size():
    losses = {"D_real": 0.2, "D_fake": -0.4, "G_GAN": 9.0, "D/loss_gp": 0.0}
    assert mean_sizes(losses, {"D": ("D_real", "D_fake")}) == {"D": pytest.approx(0.3)}
    assert mean_sizes(losses, {"D_A": ("D_A",)}) == {}, "a loss that is not printed is not judged"
    assert mean_sizes(losses, {}) == {}


def test_an_input_of_one_colour_is_named():
    watcher, said = health()
    flat = {"real_A": torch.full((1, 3, 8, 8), 0.5), "fake_B": torch.rand(1, 3, 8, 8)}
    for _ in range(3):
        watcher.images(flat, {"A_paths": ["white.png"]})
    assert len(said) == 1
    assert "real_A" in said[0]
    assert "white.png" in said[0]


def test_the_same_output_for_all_inputs_is_reported_but_not_for_a_repeated_input():
    watcher, said = health()
    answer, photo = torch.rand(1, 3, 40, 40), torch.rand(1, 3, 40, 40)
    for _ in range(20):
        watcher.images({"real_A": photo, "fake_B": answer}, {})
    assert said == []
    for _ in range(20):
        watcher.images({"real_A": torch.rand(1, 3, 40, 40).round() * torch.rand(1), "fake_B": answer}, {})
    assert len(said) == 1
    assert "fake_B" in said[0]


def test_scored_visuals_select_the_images_that_are_compared():
    watcher, said = health({"output": ("data_A", None)})
    answer = torch.rand(1, 3, 40, 40)
    for _ in range(20):
        photo = torch.rand(1, 3, 40, 40).round() * torch.rand(1)
        watcher.images({"data_A": photo, "output": answer, "fake_B": answer, "real_B": torch.ones(1, 3, 8, 8)}, {})
    assert len(said) == 1 and said[0].startswith("output was the same image")


def test_warnings_reach_the_log(unpaired, tmp_path):  # noqa: F811
    for path in (unpaired / "trainA").iterdir():
        Image.new("RGB", (40, 40), "white").save(path)
    run = train(unpaired, tmp_path, *CYCLE_GAN, *SHORT)
    assert (run / "loss_log.txt").read_text().count("real_A has the same colour in all pixels") == 1
