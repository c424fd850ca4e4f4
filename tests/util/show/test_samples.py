"""--display_samples: the same images at every update, in every model, without changing the training."""

import json
import shutil
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from test_programs import CYCLE_GAN, PIX2PIX, paired, picture, train, unpaired, weights  # noqa: F401

from util.show.training_page import describe

SAMPLES = ("--display_samples", "2", "--seed", "5")


def stored(run):
    return json.loads((run / "samples.json").read_text())


def listed(run):
    """[(number, epoch, files)] on the page."""
    lines = (run / "web" / "assets" / "samples.js").read_text().splitlines()
    return [json.loads(f"[{line.removeprefix('metamer.sample(').removesuffix(');')}]")[:3] for line in lines]


def test_the_training_is_the_same_with_and_without_samples(paired, tmp_path):  # noqa: F811
    # Batch norm has statistics that a translation would change, dropout draws random numbers.
    words = (*PIX2PIX, "--norm", "batch", "--seed", "5")
    without = train(paired, tmp_path, *words, "--display_samples", "0", name="without")
    with_samples = train(paired, tmp_path, *words, "--display_samples", "2", name="with")
    for name in ("G", "D"):
        one, other = weights(without, name), weights(with_samples, name)
        assert all(torch.equal(one[key], other[key]) for key in one)
    assert not (without / "samples.json").exists() and len(stored(with_samples)["paths"]) == 2


def test_samples_come_from_the_test_images_and_are_shown_in_every_epoch(unpaired, tmp_path):  # noqa: F811
    run = train(unpaired, tmp_path, *CYCLE_GAN, *SAMPLES)
    assert stored(run)["phase"] == "test"
    assert all("testA" in paths[0] for paths in stored(run)["paths"])
    assert [(number, epoch) for number, epoch, _ in listed(run)] == [(1, 1), (2, 1), (1, 2), (2, 2)]
    files = listed(run)[-1][2]
    assert list(files) == ["real_A", "fake_B", "real_B", "fake_A"]
    assert files["fake_B"] == "images/sample2_epoch002_fake_B.png" and files["real_A"] == "images/sample2_real_A.png"
    assert all((run / "web" / file).is_file() for file in files.values())
    before, after = (np.asarray(Image.open(run / f"web/images/sample1_epoch00{n}_fake_B.png")) for n in (1, 2))
    assert (before != after).any()


def test_validation_images_come_before_test_images_and_training_images_last(paired, tmp_path):  # noqa: F811
    shutil.copytree(paired / "test", paired / "val")
    run = train(paired, tmp_path, *PIX2PIX, *SAMPLES, "--n_epochs_decay", "0", name="val")
    assert stored(run)["phase"] == "val" and list(listed(run)[0][2]) == ["real_A", "fake_B", "real_B"]
    shutil.rmtree(paired / "val")
    shutil.rmtree(paired / "test")
    run = train(paired, tmp_path, *PIX2PIX, *SAMPLES, "--n_epochs_decay", "0", name="train")
    assert stored(run)["phase"] == "train"


@pytest.mark.parametrize(
    ("input_nc", "output_nc", "said"),
    [(3, 1, []), (5, 5, ["channels 1 to 3 of 5"]), (2, 3, ["2 channels as red and green"])],
)
def test_the_page_names_the_channels_that_it_shows(tmp_path, input_nc, output_nc, said):
    opt = Namespace(checkpoints_dir=str(tmp_path), name="run", input_nc=input_nc, output_nc=output_nc)
    assert describe(opt)["facts"] == [f"images show {each}" for each in said]


def test_a_resumed_run_shows_the_same_images(unpaired, tmp_path):  # noqa: F811
    run = train(unpaired, tmp_path, *CYCLE_GAN, *SAMPLES)
    before = stored(run)
    picture(unpaired / "valA" / "0.png")  # would be chosen by a new run
    picture(unpaired / "valB" / "0.png")
    train(unpaired, tmp_path, "--continue_train", "--n_epochs_decay", "2")
    assert stored(run) == before
    assert [epoch for _, epoch, _ in listed(run)] == [1, 1, 2, 2, 3, 3]
    Path(before["paths"][0][0]).unlink()  # the images have changed, so samples are drawn again
    train(unpaired, tmp_path, "--continue_train", "--n_epochs_decay", "3")
    assert stored(run) != before and stored(run)["phase"] == "val"


CONTRASTIVE = ("--netF_nc", "8", "--nce_layers", "0,4", "--num_patches", "8")
BOTH_WAYS = ["real_A", "fake_B", "real_B", "fake_A"]


@pytest.mark.parametrize(
    ("model", "words", "labels"),
    [
        ("cut", CONTRASTIVE, ["real_A", "fake_B"]),
        ("template", ("--dataset_mode", "unaligned"), ["real_A", "output"]),
        ("dclgan", CONTRASTIVE, BOTH_WAYS),
        ("simdcl", CONTRASTIVE, BOTH_WAYS),
    ],
)
def test_other_models_have_samples(model, words, labels, unpaired, tmp_path):  # noqa: F811
    run = train(unpaired, tmp_path, "--model", model, *CYCLE_GAN[2:], *SAMPLES, "--n_epochs_decay", "0", *words)
    assert [(number, epoch, list(files)) for number, epoch, files in listed(run)] == [(1, 1, labels), (2, 1, labels)]
    assert all((run / "web" / file).is_file() for _, _, files in listed(run) for file in files.values())


def test_an_image_that_cannot_be_read_costs_the_samples_only(unpaired, tmp_path, capsys):  # noqa: F811
    for path in (unpaired / "testA").iterdir():
        path.write_bytes(b"no image")
    run = train(unpaired, tmp_path, *CYCLE_GAN, *SAMPLES, "--n_epochs_decay", "0")
    assert (run / "latest_net_G_A.pth").exists()
    assert stored(run)["phase"] == "train"  # the test images are unreadable
