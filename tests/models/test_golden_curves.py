"""Thirty steps of each model on made images in float64: the losses stay what they were when the curve was stored.

``python tests/models/test_golden_curves.py`` stores them anew, for a change that is meant to change numbers. GAN
training amplifies rounding, in float32 to a tenth of a loss within 15 steps, which differs between processors. In
float64 the same steps stay within the tolerance below on every processor.
"""

import json
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).resolve().parents[2]), str(Path(__file__).resolve().parents[1])]

import pytest
import torch
from parity_tools import uniform

from models import create_model, prepare
from options.train_options import TrainOptions
from util.numerics import seeding

CURVES = Path(__file__).parent / "golden_curves.json"
STEPS = (1, 5, 15, 30)
TOLERANCE = 1e-4  # relative, or absolute for values below 1
NETS = ["--netG", "resnet_6blocks", "--ngf", "4", "--ndf", "4", "--load_size", "32", "--crop_size", "32"]
STARGAN = ["--image_size", "32", "--g_conv_dim", "4", "--d_conv_dim", "4", "--d_repeat_num", "4", "--n_critic", "2"]
SINCUT = ["--ngf", "1", "--ndf", "1", "--load_size", "32", "--crop_size", "32"]
MODELS = {
    "pix2pix": NETS,
    "cycle_gan": [*NETS, "--pool_size", "4"],
    "cut": [*NETS, "--num_patches", "16", "--netF_nc", "16"],
    "fastcut": [*NETS, "--num_patches", "16", "--netF_nc", "16"],
    "sincut": [*SINCUT, "--netF_nc", "16", "--batch_size", "2"],
    "dclgan": [*NETS, "--num_patches", "16", "--netF_nc", "16"],
    "simdcl": [*NETS, "--num_patches", "16", "--netF_nc", "16"],
    "stargan": [*STARGAN, "--batch_size", "4"],
    "template": NETS,
}


def curve(name):
    """Step -> losses, for the steps that are compared."""
    command = ["--model", name, "--dataroot", "none", "--device", "cpu", "--seed", "5", "--name", "golden_curve"]
    opt = TrainOptions([*command, *MODELS[name]]).parse()
    seeding.seed_build(opt.seed)
    model = create_model(opt)
    prepare(model, [], opt)
    for net in model.networks_by_name().values():
        net.double()
    found = {}
    for step in range(1, max(STEPS) + 1):
        seeding.seed_step(opt.seed, step)
        model.set_input(batch(step, opt, torch.float64))
        model.optimize_parameters()
        if step in STEPS:
            found[step] = {key: float(f"{value:.9g}") for key, value in model.get_current_losses().items()}
    return found


def batch(step, opt, dtype=torch.float32):
    images = opt.batch_size * opt.accumulate
    size = (images, 3, 32, 32)
    A, B = (uniform(number, size).to(dtype) for number in (2 * step, 2 * step + 1))
    label = (uniform(step, (images, 5)) > 0).to(dtype)
    names = ["an image"] * images
    return {"A": A, "B": 0.5 * B - 0.3, "label": label, "A_paths": names, "B_paths": names}


@pytest.mark.parametrize("name", MODELS)
def test_losses_follow_the_stored_curve(name):
    stored = json.loads(CURVES.read_text())[name]
    for step, losses in curve(name).items():
        assert losses.keys() == stored[str(step)].keys()
        for key, value in losses.items():
            assert value == pytest.approx(stored[str(step)][key], rel=TOLERANCE, abs=TOLERANCE), (step, key)


if __name__ == "__main__":
    CURVES.write_text(json.dumps({name: curve(name) for name in MODELS}, indent=1) + "\n")
