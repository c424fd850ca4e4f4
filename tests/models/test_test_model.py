"""--model test: one generator of a trained run, applied to a plain folder of images."""

import pytest
import torch
from small_models import NETWORKS

from models import create_model, prepare
from options.test_options import TestOptions
from options.train_options import TrainOptions
from util.errors import InputError


def trained(folder, name, *words):
    """A saved run with initial weights, and the words that name it."""
    run = ["--dataroot", "none", "--checkpoints_dir", str(folder), "--device", "cpu", "--name", name]
    options = TrainOptions([*run, "--model", name, *NETWORKS, *words])
    model = create_model(options.parse())
    prepare(model, [], options.opt)
    options.save()
    model.save_networks("latest")
    return model, run


def build(run, *words):
    opt = TestOptions([*run, "--model", "test", *words]).parse()
    model = create_model(opt)
    prepare(model, [], opt)
    return model


def images(channels=3):
    return {"A": torch.rand(2, channels, 32, 32), "A_paths": ["a", "b"]}


def assert_translates_with(model, net):
    data = images()
    net.eval(), model.eval()
    model.set_input(data)
    model.test()
    assert list(model.get_current_visuals()) == ["real", "fake"]
    assert torch.equal(model.translate(data["A"])["fake"], net(data["A"]))


def test_a_run_with_one_generator_is_tested_with_it(tmp_path):
    run, words = trained(tmp_path, "pix2pix", "--netG", "resnet_6blocks")
    assert_translates_with(build(words), run.netG)


@pytest.mark.parametrize(("trained_direction", "direction", "net"), [
    ("AtoB", "AtoB", "netG_A"),
    ("AtoB", "BtoA", "netG_B"),
    ("BtoA", "BtoA", "netG_A"),
    ("BtoA", "AtoB", "netG_B"),
])  # fmt: skip
def test_a_two_sided_run_is_tested_with_the_generator_of_the_direction(tmp_path, trained_direction, direction, net):
    run, words = trained(tmp_path, "cycle_gan", "--direction", trained_direction)
    assert_translates_with(build(words, "--direction", direction), getattr(run, net))


def test_model_suffix_selects_the_generator(tmp_path):
    run, words = trained(tmp_path, "cycle_gan")
    assert_translates_with(build(words, "--model_suffix", "_B"), run.netG_B)


def test_images_with_other_channels_than_the_generator_are_refused(tmp_path):
    _, words = trained(tmp_path, "cycle_gan", "--output_nc", "1", "--lambda_identity", "0")
    model = build(words, "--direction", "BtoA")
    with pytest.raises(InputError, match="this direction needs images of 1 channels, and the data set gives 3"):
        model.set_input(images())
    model.set_input(images(channels=1))


def test_it_can_not_be_trained(tmp_path):
    _, words = trained(tmp_path, "pix2pix", "--netG", "resnet_6blocks")
    with pytest.raises(InputError, match=r"--model test: it is for test\.py; choose another model to train"):
        build(words).optimize_parameters()
    with pytest.raises(InputError, match=r"--model test: it is for test\.py"):
        TrainOptions([*words[:-1], "other", "--model", "test"]).parse()
