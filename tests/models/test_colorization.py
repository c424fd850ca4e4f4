"""Colorization: Lab values become the RGB values of scikit-image; other channels are refused."""

import numpy as np
import pytest
import torch
from small_models import NETWORKS, build

from util.errors import InputError

color = pytest.importorskip("skimage.color")


def test_lab_is_converted_to_rgb():
    from models.colorization_model import lab_to_rgb

    rgb = np.random.default_rng(0).random((5, 7, 3))
    lab = torch.from_numpy(color.rgb2lab(rgb)).permute(2, 0, 1)[None]
    back = lab_to_rgb(lab[:, :1] / 50 - 1, lab[:, 1:] / 110)
    assert back.dtype == torch.float32 and back.shape == (1, 3, 5, 7)
    np.testing.assert_allclose((back[0].permute(1, 2, 0).numpy() + 1) / 2, rgb, atol=1e-5)


def test_a_step_shows_the_translation_in_colour(tmp_path):
    model = build(tmp_path, "--model", "colorization", "--normG", "instance", "--normD", "instance", small=NETWORKS)
    lightness, colours = torch.rand(1, 1, 32, 32) * 2 - 1, torch.rand(1, 2, 32, 32) - 0.5
    model.set_input({"A": lightness, "B": colours, "A_paths": ["a"], "B_paths": ["a"]})
    model.optimize_parameters()
    model.compute_visuals()
    shown = model.get_current_visuals()
    assert {name: tuple(image.shape[1:]) for name, image in shown.items()} == {
        "real_A": (1, 32, 32),
        "real_B_rgb": (3, 32, 32),
        "fake_B_rgb": (3, 32, 32),
    }


def test_other_channels_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"--input_nc 3 --output_nc 2: colorization goes from 1 channel"):
        build(tmp_path, "--model", "colorization", "--input_nc", "3", small=NETWORKS)
