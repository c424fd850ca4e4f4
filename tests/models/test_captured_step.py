"""--capture yes on a CPU: the code of captured steps, with a call in the place of each replay."""

import pytest
from same import assert_same
from test_golden_curves import STARGAN, batch

from models import captured_step, create_model, prepare
from options.train_options import TrainOptions
from util.errors import InputError
from util.numerics import seeding
from util.run import states

TINY = "--netG resnet_4blocks --ngf 2 --ndf 2 --load_size 32 --crop_size 32".split()
PATCHES = [*TINY, "--netG", "resnet_6blocks", "--num_patches", "8", "--netF_nc", "8"]
CASES = {
    "pix2pix, dropout": ["--model", "pix2pix", *TINY],
    "cycle_gan, pools": ["--model", "cycle_gan", *TINY, "--pool_size", "2", "--batch_size", "2"],
    "fastcut, flips": ["--model", "fastcut", *PATCHES],
    "stargan, n_critic": ["--model", "stargan", *STARGAN, "--batch_size", "4"],
}
SLOW = {
    "cut": ["--model", "cut", *PATCHES],
    "dclgan": ["--model", "dclgan", *PATCHES],
    "simdcl": ["--model", "simdcl", *PATCHES],
    "colorization": ["--model", "colorization", *TINY],
    "fp16": ["--model", "pix2pix", *TINY, "--precision", "fp16"],
    "bf16": ["--model", "cycle_gan", *TINY, "--precision", "bf16", "--grad_checkpoint"],
    "spectral norm": ["--model", "cycle_gan", *TINY, "--spectral_norm", "--channels_last"],
    "wgan-gp, averages": ["--model", "cycle_gan", *TINY, *"--gan_mode wgangp --lambda_gp 1 --ema 0.9".split()],
    "lazy R1": ["--model", "pix2pix", *TINY, *"--lambda_r1 1 --lazy_r1 2 --diffaugment color,cutout".split()],
}
TWO_KINDS = ("fastcut, flips", "stargan, n_critic", "lazy R1")


@pytest.fixture(autouse=True)
def captured_early(monkeypatch):
    monkeypatch.setattr(captured_step, "WARM_UP", 1)


def made(*words):
    opt = TrainOptions(["--dataroot", "none", "--device", "cpu", "--seed", "5", "--name", "captured", *words]).parse()
    seeding.seed_build(opt.seed)
    model = create_model(opt)
    prepare(model, [], opt)
    return model


def train(model, steps, each=lambda step: None, first=1):
    """Losses of the steps."""
    found = []
    for step in range(first, first + steps):
        seeding.seed_step(5, step)
        images = batch(step, model.opt)
        if model.opt.model == "colorization":
            images.update(A=images["A"][:, :1], B=images["B"][:, :2])
        model.set_input(images)
        model.optimize_parameters()
        each(step)
        found.append(model.get_current_losses())
    return found


def same_training(words, steps):
    plain, captured = made(*words), made(*words, "--capture", "yes")
    flags = {model: [] for model in (plain, captured)}
    losses = []
    for model, seen in flags.items():
        losses.append(
            train(model, steps, lambda step, m=model, s=seen: s.extend(float(bad) for _, bad in m._updates.take()))
        )
    assert losses[0] == losses[1]
    assert flags[plain] == flags[captured]
    assert_same(states.model_state(plain), states.model_state(captured))
    plain.compute_visuals(), captured.compute_visuals()
    assert_same(plain.get_current_visuals(), captured.get_current_visuals())
    return captured.optimize_parameters


@pytest.mark.parametrize("case", [*CASES, *(pytest.param(case, marks=pytest.mark.slow) for case in SLOW)])
def test_captured_training_is_bit_equal(case):
    step = same_training({**CASES, **SLOW}[case], steps=9)
    assert not step.off
    assert any(kind.checked for kind in step.kinds.values())
    assert len(step.kinds) == (2 if case in TWO_KINDS else 1)


REASONS = {
    "declares no `captures`": ["--model", "template", *TINY],
    "--accumulate 2": ["--model", "cut", *PATCHES, "--accumulate", "2"],
    "--preprocess none": ["--model", "pix2pix", *TINY, "--preprocess", "none"],
    "with dropout": ["--model", "pix2pix", *TINY, "--grad_checkpoint"],
}


@pytest.mark.parametrize("reason", REASONS)
def test_a_model_that_cannot_be_captured_says_why_and_trains_as_it_is(reason, capsys):
    model = made(*REASONS[reason], "--capture", "yes")
    lines = [line for line in capsys.readouterr().out.splitlines() if "--capture" in line]
    assert len(lines) == 1
    assert reason in lines[0]
    assert "optimize_parameters" not in vars(model)


@pytest.mark.parametrize("word", ["auto", "no"])
def test_without_the_flag_nothing_changes(word, capsys):
    assert "optimize_parameters" not in vars(made("--model", "pix2pix", *TINY, "--capture", word))
    assert "--capture" not in capsys.readouterr().out


def test_another_word_is_refused():
    with pytest.raises(InputError, match="--capture maybe: choose auto, yes, no"):
        made("--model", "pix2pix", *TINY, "--capture", "maybe")
