"""--ema: generators' averaged weights follow each applied update, are saved, resumed bit for bit, and used by tests."""

import numpy as np
import pytest
import torch
from PIL import Image
from test_programs import CYCLE_GAN, train, translate, unpaired, weights  # noqa: F401

import metamer
from models import create_model
from options.train_options import TrainOptions
from util.errors import InputError


def model_of(folder, *words):
    where = ["--dataroot", str(folder), "--checkpoints_dir", str(folder), "--device", "cpu"]
    opt = TrainOptions([*where, *CYCLE_GAN, "--ema", "0.5", *words]).parse()
    model = create_model(opt)
    model.setup(opt)
    return model


def batch(seed):
    images = torch.rand(2, 1, 3, 32, 32, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return {"A": images[0], "B": images[1], "A_paths": ["a"], "B_paths": ["b"]}


def test_the_exported_average_is_that_of_the_formula(tmp_path):
    model = model_of(tmp_path)
    expected = {key: value.clone() for key, value in model.netG_B.state_dict().items()}
    for n in range(1, 15):
        model.set_input(batch(n))
        model.optimize_parameters()
        decay = min(0.5, (1 + n) / (10 + n))
        for key, value in model.netG_B.state_dict().items():
            expected[key] = decay * expected[key] + (1 - decay) * value
    model.save_networks("latest")
    stored = torch.load(tmp_path / "experiment_name" / "latest_net_G_B_ema.pth")
    assert all(torch.allclose(stored[key], value, atol=1e-6) for key, value in expected.items())
    trained = torch.load(tmp_path / "experiment_name" / "latest_net_G_B.pth")
    assert all(torch.equal(trained[key], value) for key, value in model.netG_B.state_dict().items())


def test_a_skipped_update_is_not_averaged(tmp_path):
    model = model_of(tmp_path, "--on_nan", "skip")
    model.set_input(batch(1))
    model.optimize_parameters()
    before = {key: value.clone() for key, value in model._ema.averages["G_A"].items()}
    bad = batch(2)
    bad["A"] = bad["A"] * float("nan")
    model.set_input(bad)
    model.optimize_parameters()
    assert all(torch.equal(model._ema.averages["G_A"][key], value) for key, value in before.items())
    assert int(model._ema.updates) == 1


def test_a_resumed_run_has_the_same_averages(unpaired, tmp_path):  # noqa: F811
    words = (*CYCLE_GAN, "--ema", "0.9", "--seed", "3")
    straight = train(unpaired, tmp_path, *words, "--n_epochs", "1", "--n_epochs_decay", "1", name="straight")
    train(unpaired, tmp_path, *words, "--n_epochs", "1", "--n_epochs_decay", "0", name="halves")
    halves = train(unpaired, tmp_path, "--continue_train", "--n_epochs_decay", "1", name="halves")
    for name in ("G_A_ema", "G_B_ema"):
        mine, theirs = weights(halves, name), weights(straight, name)
        averaged = torch.load(straight / "latest_state.pth")["model"]["ema"]["averages"][name.removesuffix("_ema")]
        assert all(torch.equal(theirs[key], averaged[key]) for key in theirs)
        assert mine.keys() == theirs.keys()
    state = torch.load(halves / "latest_state.pth")["model"]["ema"]
    assert state["updates"] == 8  # 4 images in each of two epochs


def test_a_test_uses_the_averages_unless_use_ema_is_no(unpaired, tmp_path):  # noqa: F811
    run = train(unpaired, tmp_path, *CYCLE_GAN, "--ema", "0.9")

    def pictures(*words):
        folder = translate(unpaired, tmp_path, *words)
        return {path.name: np.asarray(Image.open(path)) for path in (folder / "images").glob("*_fake_B.png")}

    averaged, last = pictures(), pictures("--use_ema", "no")
    assert all(np.array_equal(averaged[name], pictures("--use_ema")[name]) for name in averaged)
    assert any(not np.array_equal(averaged[name], last[name]) for name in averaged)
    called = metamer.load(run, device="cpu")(unpaired / "testA" / "0.png")
    assert called.size == (40, 40)
    assert weights(run, "G_A_ema").keys() == weights(run, "G_A").keys()


def test_use_ema_without_averages_and_a_decay_above_1_are_refused(unpaired, tmp_path):  # noqa: F811
    train(unpaired, tmp_path, *CYCLE_GAN)
    with pytest.raises(InputError, match="trained without --ema"):
        translate(unpaired, tmp_path, "--use_ema")
    with pytest.raises(InputError, match="--ema"):
        model_of(tmp_path, "--ema", "1.5")
