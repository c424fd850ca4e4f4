"""SinCUT: its losses, --lazy_R1, and a run on one image of each domain whose test translates the whole image."""

import pytest
import torch
from distributed.cases import batch
from PIL import Image
from test_programs import picture, train, translate

from models import create_model, prepare
from options.train_options import TrainOptions
from util.numerics import seeding

TINY = "--ngf 1 --ndf 1 --load_size 32 --crop_size 32 --netF_nc 8 --batch_size 2 --seed 3 --device cpu".split()


def build(*words):
    opt = TrainOptions(["--model", "sincut", "--dataroot", "none", *TINY, *words]).parse()
    seeding.seed_build(opt.seed)
    model = create_model(opt)
    prepare(model, [], opt)
    return model


def run(model, steps):
    for step in range(1, steps + 1):
        seeding.seed_step(3, step)
        model.set_input(batch(step, 2, torch.float32))
        model.optimize_parameters()
        yield model.get_current_losses()


def test_reported_losses_add_up_to_the_optimised_loss():
    model = build()
    (losses,) = run(model, 1)
    assert list(losses) == ["G_GAN", "D_real", "D_fake", "G", "NCE", "NCE_Y", "D_R1", "idt"]
    assert losses["G"] == pytest.approx(losses["G_GAN"] + (losses["NCE"] + losses["NCE_Y"]) / 2 + losses["idt"])
    total = (losses["D_real"] + losses["D_fake"]) / 2 + losses["D_R1"]
    assert float(model.loss_D.detach()) == pytest.approx(total) and losses["D_R1"] > 0


def test_lazy_r1_is_multiplied_by_its_interval():
    every = [losses["D_R1"] for losses in run(build("--lambda_R1", "2"), 1)]
    model = build("--lambda_R1", "2", "--lazy_R1", "3")
    lazy = [losses["D_R1"] for losses in run(model, 5)]
    assert [bool(value) for value in lazy] == [True, False, False, True, False]
    assert lazy[0] == pytest.approx(3 * every[0])
    assert model.state_dict() == {"steps_made": 5}
    continued = build("--lazy_R1", "3")
    continued.load_state_dict({"steps_made": 5})
    assert [bool(losses["D_R1"]) for losses in run(continued, 2)] == [False, True]


@pytest.mark.parametrize(
    ("words", "missing"),
    [
        ("--nce_idt no", {"NCE_Y"}),
        ("--nce_idt no --lambda_identity 0", {"NCE_Y", "idt"}),
        ("--lambda_R1 0", {"D_R1"}),
        ("--CUT_mode FastCUT", {"NCE_Y"}),
        ("--nce_includes_all_negatives_from_minibatch no --num_patches 8", set()),
        ("--netD tilestylegan2 --D_patch_size 16", set()),
        ("--netG smallstylegan2 --nce_layers 0,2", set()),
    ],
)
def test_terms_that_are_switched_off_are_not_reported(words, missing):
    model = build(*words.split())
    (losses,) = run(model, 1)
    everything = {"G_GAN", "D_real", "D_fake", "G", "NCE", "NCE_Y", "D_R1", "idt"}
    assert set(losses) == everything - missing
    assert all(value == value for value in losses.values())
    assert ("idt_B" in model.get_current_visuals()) == ("idt" in losses or "NCE_Y" in losses)


def test_a_test_translates_the_whole_image_repeatably(tmp_path, capsys):
    for side, size in (("trainA", (71, 50)), ("trainB", (60, 90))):
        picture(tmp_path / "pair" / side / "image.png", *size)
    few = ("--max_dataset_size", "4", "--n_epochs", "1", "--n_epochs_decay", "0", "--display_id", "0")
    train(tmp_path / "pair", tmp_path, "--model", "sincut", *TINY, *few)
    results = [translate(tmp_path / "pair", tmp_path, "--name", "run", "--results_dir", str(tmp_path / name))
               for name in ("results", "again")]  # fmt: skip
    assert "A: 71x50 pixels" in capsys.readouterr().out
    found = [next((tmp_path / name).rglob("*_fake_B.png")) for name in ("results", "again")]
    assert [Image.open(path).size for path in found] == [(71, 50)] * 2 and results
    assert found[0].read_bytes() == found[1].read_bytes()
    picture(tmp_path / "plain" / "other.png", 33, 47)
    translate(tmp_path / "plain", tmp_path)
    assert Image.open(next((tmp_path / "results").rglob("other_fake_B.png"))).size == (33, 47)
