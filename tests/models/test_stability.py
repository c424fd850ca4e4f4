"""Options for stable training: each does what its source says, in every model, or is refused in one line."""

import pytest
from distributed.cases import EQUAL

from models import create_model, prepare
from options.train_options import TrainOptions
from util.errors import InputError
from util.numerics import seeding

NAMES = ("pix2pix", "cycle_gan", "cut", "fastcut", "sincut", "dclgan", "simdcl", "stargan")


def build(name, *words):
    """A small model, ready for steps in float32."""
    where = ["--dataroot", "none", "--device", "cpu", "--seed", "5", "--batch_size", "2"]
    opt = TrainOptions([*EQUAL[name], *where, *words]).parse()
    seeding.seed_build(opt.seed)
    model = create_model(opt)
    prepare(model, [], opt)
    return model


def rates(name, *words):
    return [group["lr"] for optimizer in build(name, *words).optimizers for group in optimizer.param_groups]


@pytest.mark.parametrize(
    ("name", "rest"), [("pix2pix", []), ("cycle_gan", []), ("cut", [2e-4]), ("dclgan", [1e-3]), ("sincut", [2e-3])]
)
def test_generators_and_discriminators_have_rates_of_their_own(name, rest):
    lr = 2e-3 if name == "sincut" else 2e-4
    assert rates(name) == [lr, lr, *rest]
    assert rates(name, "--lr_G", "0.003") == [0.003, lr, *rest]
    assert rates(name, "--lr_D", "0.004") == [lr, 0.004, *rest]


def test_scaling_and_schedules_follow_each_rate(capsys):
    words = ["--lr_G", "0.1", "--lr_D", "0.4", "--n_epochs", "1", "--n_epochs_decay", "1"]
    model = build("cycle_gan", *words, "--accumulate", "4", "--scale_lr", "sqrt")
    assert [group["lr"] for optimizer in model.optimizers for group in optimizer.param_groups] == [0.2, 0.8]
    assert model.opt.lr == pytest.approx(2 * 0.0002)
    for optimizer in model.optimizers:
        optimizer.step()
    model.update_learning_rate()
    assert [group["lr"] for optimizer in model.optimizers for group in optimizer.param_groups] == [0.1, 0.4]
    assert "has no effect" not in capsys.readouterr().out


def test_a_rate_that_nothing_reads_is_reported(capsys):
    with pytest.raises(InputError, match=r"--lr_G: --model stargan doesn't read it; it has --g_lr"):
        build("stargan", "--lr_G", "0.1")
    build("template", "--lr_G", "0.1", "--lr_D", "0.1")
    printed = capsys.readouterr().out
    assert "--lr_D: TemplateModel is built without it, so it has no effect" in printed
    assert "--lr_G:" not in printed
