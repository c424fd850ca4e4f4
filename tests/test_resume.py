"""A run that was stopped and resumed equals the uninterrupted run bit for bit, in weights and log."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from same import assert_same
from test_programs import CYCLE_GAN, PIX2PIX, ROOT, SMALL, paired, train, unpaired, weights, where  # noqa: F401

import train as train_program
from models import captured_step
from util.errors import InputError
from util.run import checkpoint, running


def stop_after(monkeypatch, steps):
    """Make the training loop stop after the step with this number."""
    asked = iter(range(1, 10_000))

    def requested(self):
        if next(asked) == steps:
            self.reason = "the test says so"
        return self.reason is not None

    monkeypatch.setattr(running.Stop, "requested", requested)


def losses(run):
    records = [json.loads(line) for line in (run / "loss_log.jsonl").read_text().splitlines()]
    return [(r["epoch"], r["iters"], r["images"], r["losses"]) for r in records]


def assert_same_run(a, b):
    first, second = (checkpoint.read_state(run / "latest_state.pth") for run in (a, b))
    assert_same(first, second)
    assert losses(a) == losses(b)


CASES = {
    "cycle_gan, pools that fill and exchange": ("unpaired", (*CYCLE_GAN, "--pool_size", "3")),
    "cycle_gan, two workers": ("unpaired", (*CYCLE_GAN, "--pool_size", "50", "--num_threads", "2")),
    "pix2pix, dropout and batch norm": ("paired", (*PIX2PIX, "--batch_size", "2", "--lr_policy", "step")),
    "cosine": ("paired", (*PIX2PIX, "--lr_policy", "cosine")),
}


@pytest.mark.parametrize("case", CASES)
# Steps: inside the first epoch; at the end of an epoch or inside; inside the second epoch.
@pytest.mark.parametrize("steps", [1, 2, pytest.param(5, marks=pytest.mark.slow)])
def test_a_resumed_run_equals_the_uninterrupted_run(case, steps, request, tmp_path, monkeypatch):
    data, words = CASES[case]
    data = request.getfixturevalue(data)
    words = (*words, "--seed", "11", "--n_epochs", "2", "--n_epochs_decay", "2")
    straight = train(data, tmp_path, *words, name="straight")
    with monkeypatch.context() as patched:
        stop_after(patched, steps)
        broken = train(data, tmp_path, *words, name="broken")
    assert len(losses(broken)) == steps
    train(data, tmp_path, "--continue_train", name="broken")
    assert_same_run(straight, broken)


SMALL_PATCHES = ("--num_patches", "8", "--netF_nc", "8", "--netG", "resnet_6blocks", *SMALL)
UNPAIRED_SINCUT = (
    "--dataset_mode unaligned --preprocess resize_and_crop --batch_size 1 --lazy_R1 3 --num_patches 8".split()
)
OTHERS = {
    "cut": ("unpaired", ("--model", "cut", *SMALL_PATCHES)),
    "fastcut": ("unpaired", ("--model", "fastcut", *SMALL_PATCHES, "--n_epochs_decay", "2")),
    "dclgan": ("unpaired", ("--model", "dclgan", *SMALL_PATCHES, "--num_threads", "2")),
    "simdcl": ("unpaired", ("--model", "simdcl", *SMALL_PATCHES)),
    "sincut": ("unpaired", ("--model", "sincut", *UNPAIRED_SINCUT, *SMALL, *"--netF_nc 8 --ngf 1 --ndf 1".split())),
    "template": ("paired", ("--model", "template", "--netG", "resnet_4blocks", *SMALL)),
    "wgan-gp": ("unpaired", (*CYCLE_GAN, "--gan_mode", "wgangp", "--lambda_gp", "10")),
    "spectral norm, lazy r1": ("unpaired", (*CYCLE_GAN, "--spectral_norm", *"--lambda_r1 1 --lazy_r1 3".split())),
    "diffaugment": ("unpaired", (*CYCLE_GAN, "--diffaugment", "color,translation,cutout")),
}


def test_a_captured_run_goes_on_exactly_and_equals_one_without(unpaired, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setattr(captured_step, "WARM_UP", 1)
    words = (*CYCLE_GAN, "--pool_size", "3", "--seed", "11", "--n_epochs", "2", "--n_epochs_decay", "1")
    straight = train(unpaired, tmp_path, *words, name="straight")
    with monkeypatch.context() as patched:
        stop_after(patched, 5)
        train(unpaired, tmp_path, *words, "--capture", "yes", name="broken")
    assert_same_run(straight, train(unpaired, tmp_path, "--continue_train", name="broken"))


@pytest.mark.parametrize("case", OTHERS)
def test_every_model_resumes_exactly(case, request, tmp_path, monkeypatch):
    data, words = OTHERS[case]
    data = request.getfixturevalue(data)
    words = (*words, "--seed", "12", "--n_epochs", "2", "--n_epochs_decay", "1")
    straight = train(data, tmp_path, *words, name="straight")
    with monkeypatch.context() as patched:
        stop_after(patched, 5)
        broken = train(data, tmp_path, *words, name="broken")
    train(data, tmp_path, "--continue_train", name="broken")
    assert_same_run(straight, broken)


def test_continue_train_needs_no_other_flag_and_keeps_the_page(unpaired, tmp_path, monkeypatch):  # noqa: F811
    stop_after(monkeypatch, 5)
    run = train(unpaired, tmp_path, *CYCLE_GAN)
    monkeypatch.undo()
    train(unpaired, tmp_path, "--continue_train")
    options = json.loads((run / "train_opt.json").read_text())["options"]
    assert (options["netG"], options["ngf"], options["crop_size"]) == ("resnet_4blocks", 4, 32)
    page = (run / "web" / "plain.html").read_text()
    assert page.count("epoch [1]") == page.count("epoch [2]") == 1


def test_a_flag_that_contradicts_the_networks_is_refused(unpaired, tmp_path):  # noqa: F811
    train(unpaired, tmp_path, *CYCLE_GAN)
    with pytest.raises(InputError, match=r"--ngf 8.*--ngf 4"):
        train(unpaired, tmp_path, "--continue_train", "--ngf", "8")
    with pytest.raises(InputError, match=r"--spectral_norm"):
        train(unpaired, tmp_path, "--continue_train", "--spectral_norm")


def test_schedule_and_rate_may_change(unpaired, tmp_path):  # noqa: F811
    run = train(unpaired, tmp_path, *CYCLE_GAN)
    train(unpaired, tmp_path, "--continue_train", "--n_epochs_decay", "3", "--lr", "0.001")
    state = checkpoint.read_state(run / "latest_state.pth")
    assert state["progress"]["epoch"] == 5
    rate = state["model"]["optimizers"][0]["param_groups"][0]["lr"]
    assert rate == pytest.approx(0.001 * (1 - 4 / 4), abs=1e-12)


def test_another_batch_size_starts_the_epoch_again(unpaired, tmp_path, monkeypatch, capsys):  # noqa: F811
    stop_after(monkeypatch, 2)
    train(unpaired, tmp_path, *CYCLE_GAN)
    monkeypatch.undo()
    train(unpaired, tmp_path, "--continue_train", "--batch_size", "2")
    printed = capsys.readouterr().out
    assert "epoch 1 starts again" in printed
    assert "(epoch: 1, iters: 2, " in printed


def test_a_new_run_in_a_folder_with_checkpoints_is_refused(unpaired, tmp_path):  # noqa: F811
    run = train(unpaired, tmp_path, *CYCLE_GAN, "--save_epoch_freq", "1")
    before = weights(run)
    with pytest.raises(InputError, match=r"--continue_train.*--overwrite"):
        train(unpaired, tmp_path, *CYCLE_GAN)
    assert all(torch.equal(before[key], weights(run)[key]) for key in before)
    train(unpaired, tmp_path, *CYCLE_GAN, "--overwrite", "--n_epochs_decay", "0")
    assert not (run / "2_net_G_A.pth").exists()


def test_continue_train_without_a_checkpoint_is_refused(unpaired, tmp_path):  # noqa: F811
    with pytest.raises(InputError, match="no such run folder.*; leave out --continue_train"):
        train(unpaired, tmp_path, *CYCLE_GAN, "--continue_train")


def test_weights_without_a_state_are_continued_as_in_the_originals(unpaired, tmp_path, capsys):  # noqa: F811
    run = train(unpaired, tmp_path, *CYCLE_GAN)
    for path in [*run.glob("*_state.pth"), *run.glob("*_manifest.json")]:
        path.unlink()
    before = weights(run)
    words = (*CYCLE_GAN, "--continue_train", "--epoch_count", "2", "--lr", "1e-12")
    after = weights(train(unpaired, tmp_path, *words))
    assert all(torch.allclose(before[key], after[key], atol=1e-9) for key in before)
    assert "weights alone" in capsys.readouterr().out


def harm_it(path, harm):
    whole = path.read_bytes()
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    path.write_bytes(whole[:middle] if harm == "truncated" else flipped)


@pytest.mark.parametrize("harm", [pytest.param("truncated", marks=pytest.mark.slow), "flipped"])
def test_a_damaged_state_is_named_and_the_previous_one_is_used(harm, unpaired, tmp_path, monkeypatch, capsys):  # noqa: F811
    words = (*CYCLE_GAN, "--save_epoch_freq", "1", "--n_epochs_decay", "2", "--seed", "1")
    straight = train(unpaired, tmp_path, *words, name="straight")
    stop_after(monkeypatch, 6)  # the state of epoch 1 lies beside that of the middle of epoch 2
    run = train(unpaired, tmp_path, *words)
    monkeypatch.undo()
    harm_it(run / "latest_state.pth", harm)
    train(unpaired, tmp_path, "--continue_train")
    assert "latest_state.pth: damaged" in capsys.readouterr().out
    assert_same_run(straight, run)


def test_with_only_damaged_states_the_run_stops(unpaired, tmp_path):  # noqa: F811
    run = train(unpaired, tmp_path, *CYCLE_GAN)
    for path in run.glob("*_state.pth"):
        harm_it(path, "flipped")
    with pytest.raises(InputError, match="every state in it is damaged"):
        train(unpaired, tmp_path, "--continue_train", "--n_epochs_decay", "2")


def test_states_of_latest_and_of_the_newest_epoch_are_kept(unpaired, tmp_path):  # noqa: F811
    run = train(unpaired, tmp_path, *CYCLE_GAN, "--save_epoch_freq", "1", "--n_epochs", "3")
    assert {p.name for p in run.glob("*_state.pth")} == {"latest_state.pth", "4_state.pth"}
    assert {p.name.split("_")[0] for p in run.glob("*_net_G_A.pth")} == {"1", "2", "3", "4", "latest"}


def test_keep_last_prunes_the_older_epochs(unpaired, tmp_path):  # noqa: F811
    run = train(unpaired, tmp_path, *CYCLE_GAN, "--save_epoch_freq", "1", "--n_epochs", "3", "--keep_last", "2")
    assert {p.name.split("_")[0] for p in run.glob("*_net_G_A.pth")} == {"3", "4", "latest"}


def test_a_second_process_in_the_same_folder_is_refused(unpaired, tmp_path):  # noqa: F811
    from util.run.folder import owning

    with owning(str(tmp_path / "runs" / "run")), pytest.raises(InputError, match="another process"):
        train(unpaired, tmp_path, *CYCLE_GAN)


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGINT", 130), ("SIGUSR1", 0)])
def test_a_signal_saves_and_exits_with_its_code(name, code, unpaired, tmp_path):  # noqa: F811
    run = tmp_path / "runs" / "run"
    words = [*where(unpaired, tmp_path), *CYCLE_GAN, "--n_epochs", "10000", "--num_threads", "1"]
    command = [sys.executable, str(ROOT / "train.py"), *words]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )
    log = run / "loss_log.jsonl"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not (log.exists() and log.stat().st_size):
        time.sleep(0.2)
    os.killpg(process.pid, getattr(signal, name))  # the whole group, data workers included
    printed = process.communicate(timeout=120)[0].decode()
    assert process.returncode == code, printed
    assert f"{name} received" in printed
    assert (run / "latest_state.pth").exists()
    assert checkpoint.damage(str(run), checkpoint.find(str(run))[0]) is None


def test_max_time_saves_and_exits_with_0(unpaired, tmp_path):  # noqa: F811
    words = [*where(unpaired, tmp_path), *CYCLE_GAN, "--n_epochs", "10000", "--max_time", "0.02"]
    assert train_program.main(words) == 0
    assert (tmp_path / "runs" / "run" / "latest_state.pth").exists()
