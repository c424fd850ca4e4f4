"""--on_nan: a non-finite update stops the training, is discarded, or leads back to the last checkpoint."""

import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from test_programs import CYCLE_GAN, train, unpaired, weights  # noqa: F401

from models.cycle_gan_model import CycleGANModel
from models.legacy import loss_of
from util.errors import InputError
from util.numerics import finite
from util.run import checkpoint
from util.run.watch import Watch

SHORT = ("--seed", "5", "--n_epochs_decay", "0", "--save_latest_freq", "1")


def spoil(monkeypatch, *steps, model=CycleGANModel, loss="backward_G"):
    """Make the generator's loss nan in these steps of the process, counted from 1."""
    healthy, count = getattr(model, loss), iter(range(1, 10_000))

    def spoiled(self):
        total = healthy(self)
        if next(count) in steps:
            self.loss_cycle_A = self.loss_cycle_A * float("nan")
            return total + self.loss_cycle_A
        return total

    monkeypatch.setattr(model, loss, spoiled)


def all_finite(run, names=("G_A", "G_B", "D_A", "D_B")):
    return all(value.isfinite().all() for name in names for value in weights(run, name).values())


def test_stop_names_network_loss_images_and_step_and_keeps_the_last_checkpoint(unpaired, tmp_path, monkeypatch):  # noqa: F811
    spoil(monkeypatch, 3)
    with pytest.raises(InputError) as caught:
        train(unpaired, tmp_path, *CYCLE_GAN, *SHORT)
    line, run = str(caught.value), tmp_path / "runs" / "run"
    assert "\n" not in line
    for part in ("update of G_A, G_B", "cycle_A nan", "epoch 1, 3 images seen", "latest_state.pth", "--lr"):
        assert part in line
    assert re.search(r"images: \S+trainA/\d.png, \S+trainB/\d.png", line)
    assert checkpoint.read_state(run / "latest_state.pth")["progress"]["total_iters"] == 2
    assert all_finite(run)


def test_a_stopped_run_continues_from_the_last_checkpoint(unpaired, tmp_path, monkeypatch):  # noqa: F811
    straight = weights(train(unpaired, tmp_path, *CYCLE_GAN, *SHORT, name="straight"))
    with monkeypatch.context() as patched:
        spoil(patched, 3)
        with pytest.raises(InputError):
            train(unpaired, tmp_path, *CYCLE_GAN, *SHORT)
    after = weights(train(unpaired, tmp_path, "--continue_train"))
    assert all(torch.equal(straight[key], after[key]) for key in straight)


def test_skip_discards_the_update_and_continues(unpaired, tmp_path, monkeypatch, capsys):  # noqa: F811
    spoil(monkeypatch, 2, 3)
    run = train(unpaired, tmp_path, *CYCLE_GAN, *SHORT, "--on_nan", "skip")
    assert all_finite(run)
    steps = checkpoint.read_state(run / "latest_state.pth")["model"]["optimizers"]
    assert [float(own["state"][0]["step"]) for own in steps] == [2.0, 4.0]  # G made two of four, D all of them
    said = [line for line in capsys.readouterr().out.splitlines() if "--on_nan skip" in line]
    assert len(said) == 2
    assert "(2 left out so far)" in said[1]
    assert "--on_nan skip" in (run / "loss_log.txt").read_text()


def test_skip_prints_at_most_every_print_freq(unpaired, tmp_path, monkeypatch, capsys):  # noqa: F811
    spoil(monkeypatch, 1, 2, 3)
    train(unpaired, tmp_path, *CYCLE_GAN, *SHORT, "--on_nan", "skip", "--print_freq", "100")
    assert capsys.readouterr().out.count("--on_nan skip:") == 1


def test_skip_stops_after_several_skipped_batches_in_a_row(unpaired, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setattr("util.run.watch.MOST_SKIPS_IN_A_ROW", 3)
    spoil(monkeypatch, *range(1, 9))
    with pytest.raises(InputError, match="3 batches in a row"):
        train(unpaired, tmp_path, *CYCLE_GAN, *SHORT, "--on_nan", "skip")


def test_rollback_restores_the_newest_state_and_continues(unpaired, tmp_path, monkeypatch, capsys):  # noqa: F811
    spoil(monkeypatch, 3)
    words = (*CYCLE_GAN, *SHORT, "--n_epochs", "2", "--on_nan", "rollback")
    run = train(unpaired, tmp_path, *words)
    printed = capsys.readouterr().out
    assert printed.count("--on_nan rollback:") == 1
    assert "(epoch: 1, iters: 3," in printed
    state = checkpoint.read_state(run / "latest_state.pth")
    assert state["progress"]["total_iters"] == 8
    assert [float(own["state"][0]["step"]) for own in state["model"]["optimizers"]] == [7.0, 7.0]
    assert all_finite(run)


def test_rollback_stops_after_three_times(unpaired, tmp_path, monkeypatch, capsys):  # noqa: F811
    spoil(monkeypatch, *range(2, 9))
    with pytest.raises(InputError, match="after 3 rollbacks"):
        train(unpaired, tmp_path, *CYCLE_GAN, *SHORT, "--n_epochs", "2", "--on_nan", "rollback")
    assert capsys.readouterr().out.count("--on_nan rollback:") == 3


def test_rollback_without_a_checkpoint_gives_one_line(unpaired, tmp_path, monkeypatch):  # noqa: F811
    spoil(monkeypatch, 1)
    with pytest.raises(InputError, match="no checkpoint to go back to"):
        train(unpaired, tmp_path, *CYCLE_GAN, *SHORT, "--on_nan", "rollback")


def test_a_model_with_its_own_backward_is_checked_before_a_save(unpaired, tmp_path, monkeypatch):  # noqa: F811
    def own_step(self, optimizers, loss_function, frozen=()):
        loss = loss_of(loss_function)
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()

    monkeypatch.setattr(CycleGANModel, "step", own_step)
    spoil(monkeypatch, 3)
    with pytest.raises(InputError, match=r"losses: cycle_A nan.*images: "):
        train(unpaired, tmp_path, *CYCLE_GAN, *SHORT, "--print_freq", "1000")
    assert all_finite(tmp_path / "runs" / "run")


def test_an_unknown_policy_is_refused(unpaired, tmp_path):  # noqa: F811
    with pytest.raises(InputError, match=r"--on_nan skp: choose stop, skip, rollback; did you mean 'skip'"):
        train(unpaired, tmp_path, *CYCLE_GAN, "--on_nan", "skp")


def on_the_device(monkeypatch):
    """Let the CPU's fused kernel decide, as on CUDA, and return its flags one batch later."""
    monkeypatch.setattr(finite, "decided_on_device", lambda flag, optimizers: True)
    report = Watch._report
    late = SimpleNamespace(synchronize=lambda: None)
    monkeypatch.setattr(Watch, "_report", lambda self, made: report(self, made)._replace(arrived=late))


def test_with_the_decision_on_the_device_a_bad_last_batch_is_found_before_a_save(unpaired, tmp_path, monkeypatch):  # noqa: F811
    on_the_device(monkeypatch)
    spoil(monkeypatch, 4)
    with pytest.raises(InputError, match="epoch 1, 4 images seen"):
        train(unpaired, tmp_path, *CYCLE_GAN, *SHORT)
    run = tmp_path / "runs" / "run"
    assert checkpoint.read_state(run / "latest_state.pth")["progress"]["total_iters"] == 3


@pytest.mark.parametrize("policy", ["skip", "rollback"])
def test_with_the_decision_on_the_device_a_state_saved_on_the_cpu_is_resumed(policy, unpaired, tmp_path, monkeypatch):  # noqa: F811
    train(unpaired, tmp_path, *CYCLE_GAN, *SHORT)
    on_the_device(monkeypatch)
    spoil(monkeypatch, 2)
    words = ("--continue_train", "--n_epochs", "2", "--on_nan", policy, "--save_latest_freq", "1000")
    run = train(unpaired, tmp_path, *words)
    assert all_finite(run)
    steps = checkpoint.read_state(run / "latest_state.pth")["model"]["optimizers"]
    # 4 updates in the first epoch; then G skips the second, or both return to the 4 after the third, which reports it
    expected = [7.0, 8.0] if policy == "skip" else [5.0, 5.0]
    assert [float(own["state"][0]["step"]) for own in steps] == expected


def test_a_skipped_batch_changes_no_pool_and_no_running_statistics():
    from util.image_pool import ImagePool
    from util.run.watch import remove_nan

    pool, norm = ImagePool(3), torch.nn.BatchNorm2d(2)
    pool.images = [torch.ones(1, 2, 2, 2), torch.full((1, 2, 2, 2), np.nan)]
    norm.running_mean[0] = float("nan")
    remove_nan(SimpleNamespace(pool=pool, networks_by_name=lambda: {"G": norm}))
    assert len(pool.images) == 1
    assert norm.running_mean.tolist() == [0, 0]
