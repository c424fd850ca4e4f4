"""Learning rate schedules: the rates of the originals, the corrected cosine, and saved states."""

import argparse
import io

import pytest
import torch
from parity_tools import read

from models import schedules, tables
from models.networks import get_scheduler
from util.numerics.precision import Precision
from util.run import states

COSINE = "the original's rises again after n_epochs; ours goes down over the whole run"


def as_parameter(case):
    options = case["options"]
    marks = [pytest.mark.skip(reason=COSINE)] if options["lr_policy"] == "cosine" else []
    return pytest.param(case, id=f"{options['lr_policy']}-from-{options['epoch_count']}", marks=marks)


def make(**options):
    defaults = {"lr_policy": "linear", "n_epochs": 5, "n_epochs_decay": 5, "lr_decay_iters": 3, "epoch_count": 1}
    opt = argparse.Namespace(**{**defaults, "lr": 0.0002, **options})
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=opt.lr)
    return optimizer, get_scheduler(optimizer, opt), opt


def run(epochs, **options):
    """[epoch, rate in it, rate after its end] for each epoch; plateau gets a metric that never improves."""
    optimizer, scheduler, opt = make(**options)
    rows = []
    for epoch in range(opt.epoch_count, opt.epoch_count + epochs):
        before = optimizer.param_groups[0]["lr"]
        optimizer.step()
        scheduler.step(*[0.0] if opt.lr_policy == "plateau" else [])
        rows.append([epoch, before, optimizer.param_groups[0]["lr"]])
    return rows


@pytest.mark.parametrize("case", [as_parameter(case) for case in read("schedules")["generic"]])
def test_schedule_is_the_released_one(case):
    rows = run(len(case["rows"]), **case["options"])
    for row, expected in zip(rows, case["rows"], strict=True):
        assert row == pytest.approx(expected, rel=1e-7, abs=1e-15)


def test_policies_are_those_of_the_flag():
    assert tuple(schedules.POLICIES) == tables.SCHEDULES
    with pytest.raises(ValueError, match=r"--lr_policy poly: .*linear"):
        make(lr_policy="poly")


def test_cosine_decreases_over_the_whole_run_and_stays_at_0():
    rates = [rate for _, rate, _ in run(12, lr_policy="cosine", lr=1.0)]
    assert rates[0] == 1.0 and rates[5] == pytest.approx(0.5)
    assert rates[:11] == sorted(set(rates), reverse=True)
    assert rates[10] == rates[11] == pytest.approx(0.0)


@pytest.mark.parametrize("policy", ["linear", "cosine"])
def test_a_run_continued_with_epoch_count_continues_the_schedule(policy):
    whole = run(10, lr_policy=policy)
    for row, expected in zip(run(4, lr_policy=policy, epoch_count=7), whole[6:], strict=True):
        assert row == pytest.approx(expected)


def test_linear_does_not_go_below_zero():
    assert [rate for _, _, rate in run(4, n_epochs=1, n_epochs_decay=1)] == pytest.approx([1e-4, 0.0, 0.0, 0.0])


def test_plateau_follows_its_metric():
    optimizer, scheduler, _ = make(lr_policy="plateau", lr=1.0)
    for metric in (8, 7, 6, 5, 4, 3, 2, 1):
        scheduler.step(metric)
    assert optimizer.param_groups[0]["lr"] == 1.0
    for _ in range(6):
        scheduler.step(1)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.2)


@pytest.mark.parametrize("policy", tables.SCHEDULES)
def test_state_survives_a_file_of_plain_types(policy):
    optimizer, scheduler, _ = make(lr_policy=policy)
    metric = [0.0] if policy == "plateau" else []
    for _ in range(7):
        optimizer.step()
        scheduler.step(*metric)
    file = io.BytesIO()
    torch.save({"scheduler": scheduler.state_dict(), "optimizer": optimizer.state_dict()}, file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    twin_optimizer, twin, _ = make(lr_policy=policy)
    twin.load_state_dict(state["scheduler"])
    twin_optimizer.load_state_dict(state["optimizer"])
    for each_optimizer, each in ((optimizer, scheduler), (twin_optimizer, twin)):
        each_optimizer.step()
        each.step(*metric)
    assert twin_optimizer.param_groups[0]["lr"] == optimizer.param_groups[0]["lr"]


@pytest.mark.parametrize(("policy", "rate"), [("step", 0.2 * 0.1**2), ("plateau", 0.2), ("cosine", 0.1)])
def test_a_continued_run_with_another_policy_has_the_rate_of_that_policy(policy, rate, capsys):
    """The rate is not 0, the last value of the linear policy of the first part."""

    optimizer, scheduler, _ = make(lr=0.2, n_epochs=2, n_epochs_decay=2)
    for _ in range(5):
        optimizer.step()
        scheduler.step()
    assert optimizer.param_groups[0]["lr"] == 0
    state = {
        "networks": {},
        "optimizers": [optimizer.state_dict()],
        "schedulers": [scheduler.state_dict()],
        "pools": {},
    }
    optimizer, scheduler, _ = make(lr_policy=policy, lr=0.2, lr_decay_iters=2)
    model = argparse.Namespace(optimizers=[optimizer], schedulers=[scheduler], networks_by_name=dict)
    model._precision = Precision("fp32", "cpu")
    states.load_model_state(model, state, "a path")
    assert optimizer.param_groups[0]["lr"] == pytest.approx(rate)
    assert ("--lr_policy has changed" in capsys.readouterr().out) == (policy != "cosine")
    optimizer.step()
    scheduler.step(*[0.5] * (policy == "plateau"))
    assert 0 < optimizer.param_groups[0]["lr"] <= rate
