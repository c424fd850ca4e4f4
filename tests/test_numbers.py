"""Numbers that go wrong: stop, skip, roll back; warnings; images and workers that fail; repeatable operations."""

import os
import re
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from test_programs import CYCLE_GAN, PIX2PIX, ROOT, paired, train, unpaired, weights, where  # noqa: F401

from data.loading import worker
from models.cycle_gan_model import CycleGANModel
from models.legacy import loss_of
from util.errors import InputError
from util.numerics import finite, seeding
from util.run import checkpoint
from util.run.watch import Watch
from util.show.health import Health, mean_sizes

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


def test_stop_names_network_loss_images_and_place_and_keeps_the_last_checkpoint(unpaired, tmp_path, monkeypatch):  # noqa: F811
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


def test_a_stopped_run_continues_as_if_nothing_had_been(unpaired, tmp_path, monkeypatch):  # noqa: F811
    straight = weights(train(unpaired, tmp_path, *CYCLE_GAN, *SHORT, name="straight"))
    with monkeypatch.context() as patched:
        spoil(patched, 3)
        with pytest.raises(InputError):
            train(unpaired, tmp_path, *CYCLE_GAN, *SHORT)
    after = weights(train(unpaired, tmp_path, "--continue_train"))
    assert all(torch.equal(straight[key], after[key]) for key in straight)


def test_skip_leaves_the_update_out_and_goes_on(unpaired, tmp_path, monkeypatch, capsys):  # noqa: F811
    spoil(monkeypatch, 2, 3)
    run = train(unpaired, tmp_path, *CYCLE_GAN, *SHORT, "--on_nan", "skip")
    assert all_finite(run)
    steps = checkpoint.read_state(run / "latest_state.pth")["model"]["optimizers"]
    assert [float(own["state"][0]["step"]) for own in steps] == [2.0, 4.0]  # G made two of four, D all of them
    said = [line for line in capsys.readouterr().out.splitlines() if "--on_nan skip" in line]
    assert len(said) == 2
    assert "2 batches so far" in said[1]
    assert "--on_nan skip" in (run / "loss_log.txt").read_text()


def test_skip_speaks_at_most_every_print_freq(unpaired, tmp_path, monkeypatch, capsys):  # noqa: F811
    spoil(monkeypatch, 1, 2, 3)
    train(unpaired, tmp_path, *CYCLE_GAN, *SHORT, "--on_nan", "skip", "--print_freq", "100")
    assert capsys.readouterr().out.count("--on_nan skip:") == 1


def test_skip_gives_up_where_nothing_else_happens(unpaired, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setattr("util.run.watch.MOST_SKIPS_IN_A_ROW", 3)
    spoil(monkeypatch, *range(1, 9))
    with pytest.raises(InputError, match="3 batches in a row"):
        train(unpaired, tmp_path, *CYCLE_GAN, *SHORT, "--on_nan", "skip")


def test_rollback_takes_the_newest_state_and_goes_on_with_the_next_batches(unpaired, tmp_path, monkeypatch, capsys):  # noqa: F811
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


def test_rollback_gives_up_after_three(unpaired, tmp_path, monkeypatch, capsys):  # noqa: F811
    spoil(monkeypatch, *range(2, 9))
    with pytest.raises(InputError, match="after 3 rollbacks"):
        train(unpaired, tmp_path, *CYCLE_GAN, *SHORT, "--n_epochs", "2", "--on_nan", "rollback")
    assert capsys.readouterr().out.count("--on_nan rollback:") == 3


def test_rollback_without_a_checkpoint_says_so(unpaired, tmp_path, monkeypatch):  # noqa: F811
    spoil(monkeypatch, 1)
    with pytest.raises(InputError, match="no checkpoint to go back to"):
        train(unpaired, tmp_path, *CYCLE_GAN, *SHORT, "--on_nan", "rollback")


def test_a_model_with_a_backward_of_its_own_is_judged_before_it_is_saved(unpaired, tmp_path, monkeypatch):  # noqa: F811
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


def test_a_mistyped_policy_is_refused(unpaired, tmp_path):  # noqa: F811
    with pytest.raises(InputError, match=r"--on_nan skp: choose stop, skip, rollback; did you mean 'skip'"):
        train(unpaired, tmp_path, *CYCLE_GAN, "--on_nan", "skp")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e30])
def test_one_bad_number_anywhere_is_found(value):
    tensors = [torch.ones(3, 4), torch.ones(5), torch.ones(())]
    assert finite.not_finite(tensors) == 0
    tensors[1][2] = value
    assert finite.not_finite(tensors) == 1


def test_the_kernel_that_skips_on_the_device_changes_nothing_and_goes_on_after_it():
    """The way of CUDA, on the CPU, whose fused Adam reads the same flag."""
    torch.manual_seed(0)
    nets = [torch.nn.Linear(4, 3), torch.nn.Linear(4, 3)]
    nets[1].load_state_dict(nets[0].state_dict())
    plain, fused = (torch.optim.Adam(net.parameters(), lr=0.1) for net in nets)
    for step in range(4):
        x = torch.randn(5, 4)
        for net, optimizer in zip(nets, (plain, fused)):
            optimizer.zero_grad()
            net(x).square().mean().backward()
        if step < 1 or step > 2:
            plain.step()
            finite.step_unless(fused, torch.tensor(0.0))
            continue
        before = {key: value.clone() for key, value in nets[1].state_dict().items()}
        nets[1].weight.grad[0, 0] = float("nan")
        finite.step_unless(fused, finite.not_finite([nets[1].weight.grad]))
        assert all(torch.equal(before[key], value) for key, value in nets[1].state_dict().items())
    for key, value in nets[0].state_dict().items():
        assert torch.allclose(value, nets[1].state_dict()[key], atol=1e-6)
    assert fused.state_dict()["state"][0]["step"] == 2
    assert not hasattr(fused, "found_inf")


def on_the_device(monkeypatch):
    """Let the fused kernel of the CPU decide, as on CUDA, and its flags arrive a batch later."""
    monkeypatch.setattr(finite, "decided_on_device", lambda flag, optimizers: True)
    report = Watch._report
    late = SimpleNamespace(synchronize=lambda: None)
    monkeypatch.setattr(Watch, "_report", lambda self, made: report(self, made)._replace(arrived=late))


def test_decided_on_the_device_a_bad_last_batch_is_known_before_it_is_saved(unpaired, tmp_path, monkeypatch):  # noqa: F811
    on_the_device(monkeypatch)
    spoil(monkeypatch, 4)
    with pytest.raises(InputError, match="epoch 1, 4 images seen"):
        train(unpaired, tmp_path, *CYCLE_GAN, *SHORT)
    run = tmp_path / "runs" / "run"
    assert checkpoint.read_state(run / "latest_state.pth")["progress"]["total_iters"] == 3


@pytest.mark.parametrize("policy", ["skip", "rollback"])
def test_decided_on_the_device_the_run_goes_on_also_from_a_state_of_the_host(policy, unpaired, tmp_path, monkeypatch):  # noqa: F811
    train(unpaired, tmp_path, *CYCLE_GAN, *SHORT)
    on_the_device(monkeypatch)
    spoil(monkeypatch, 2)
    words = ("--continue_train", "--n_epochs", "2", "--on_nan", policy, "--save_latest_freq", "1000")
    run = train(unpaired, tmp_path, *words)
    assert all_finite(run)
    steps = checkpoint.read_state(run / "latest_state.pth")["model"]["optimizers"]
    # 4 of the first epoch; then G misses the second, or both go back to the 4 after the third, in which it is known
    expected = [7.0, 8.0] if policy == "skip" else [5.0, 5.0]
    assert [float(own["state"][0]["step"]) for own in steps] == expected


# --- signs of a training that learns nothing ------------------------------------------------------------------------


def health(**discriminator_losses):
    said = []
    return Health(said.append, discriminator_losses), said


def test_a_discriminator_that_has_won_is_reported_once():
    watcher, said = health(D_A=("D_A",), D_B=("D_B",))
    for _ in range(100):
        watcher.losses({"D_A": 1e-5, "D_B": 0.3, "G_A": 0.0})
    assert len(said) == 1
    assert "D_A" in said[0]


def test_a_discriminator_that_comes_back_is_not_reported():
    watcher, said = health(D=("D_real", "D_fake"))
    for i in range(200):
        watcher.losses({"D_real": 0.5 if i % 20 == 0 else 0.0, "D_fake": 0.0})
    assert said == []


def test_the_declared_losses_of_a_discriminator_are_averaged_by_size():
    losses = {"D_real": 0.2, "D_fake": -0.4, "G_GAN": 9.0, "D/loss_gp": 0.0}
    assert mean_sizes(losses, {"D": ("D_real", "D_fake")}) == {"D": pytest.approx(0.3)}
    assert mean_sizes(losses, {"D_A": ("D_A",)}) == {}, "a loss that is not printed is not judged"
    assert mean_sizes(losses, {}) == {}


def test_a_flat_picture_is_named():
    watcher, said = health()
    flat = {"real_A": torch.full((1, 3, 8, 8), 0.5), "fake_B": torch.rand(1, 3, 8, 8)}
    for _ in range(3):
        watcher.images(flat, {"A_paths": ["white.png"]})
    assert len(said) == 1
    assert "real_A" in said[0]
    assert "white.png" in said[0]


def test_one_answer_for_all_inputs_is_said_and_a_repeated_input_is_not():
    watcher, said = health()
    answer, photo = torch.rand(1, 3, 40, 40), torch.rand(1, 3, 40, 40)
    for _ in range(20):
        watcher.images({"real_A": photo, "fake_B": answer}, {})
    assert said == []
    for _ in range(20):
        watcher.images({"real_A": torch.rand(1, 3, 40, 40).round() * torch.rand(1), "fake_B": answer}, {})
    assert len(said) == 1
    assert "fake_B" in said[0]


def test_warnings_reach_the_log(unpaired, tmp_path):  # noqa: F811
    for path in (unpaired / "trainA").iterdir():
        Image.new("RGB", (40, 40), "white").save(path)
    run = train(unpaired, tmp_path, *CYCLE_GAN, *SHORT)
    assert (run / "loss_log.txt").read_text().count("real_A is one flat colour") == 1


# --- images and workers that fail -----------------------------------------------------------------------------------


def break_images(folder, *names):
    for name in names:
        (folder / name).write_bytes(b"no image")


@pytest.mark.parametrize("threads", ["0", "2"])
def test_an_unreadable_image_stops_with_its_path_or_is_replaced_and_counted(threads, unpaired, tmp_path, capsys):  # noqa: F811
    break_images(unpaired / "trainB", "1.png")
    words = (*CYCLE_GAN, *SHORT, "--serial_batches", "--num_threads", threads)
    with pytest.raises(InputError, match=r"1 of 7 images can't be read: \S+trainB/1\.png: not an image"):
        train(unpaired, tmp_path, *words, name="stops")
    cut = (unpaired / "trainB" / "0.png").read_bytes()[:3000]  # its header is whole, so it is found when it is read
    (unpaired / "trainB" / "1.png").write_bytes(cut)
    with pytest.raises(InputError, match=r"^\S+trainB/1\.png: "):
        train(unpaired, tmp_path, *words, name="stops_later")
    run = train(unpaired, tmp_path, *words, "--skip_bad_images")
    printed = capsys.readouterr().out
    assert printed.count("--skip_bad_images: 1 could not be read in this epoch") == 1
    assert all_finite(run)


def test_the_replacement_is_the_same_every_time_and_in_any_process(unpaired, tmp_path):  # noqa: F811
    break_images(unpaired / "trainA", "0.png")
    words = (*CYCLE_GAN, *SHORT, "--skip_bad_images")
    first = weights(train(unpaired, tmp_path, *words, name="first"))
    second = weights(train(unpaired, tmp_path, *words, "--num_threads", "1", name="second"))
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_a_folder_of_bad_images_is_an_error_all_the_same(unpaired, tmp_path):  # noqa: F811
    break_images(unpaired / "trainA", "0.png", "1.png", "2.png")
    with pytest.raises(InputError, match="in a row can't be read"):
        train(unpaired, tmp_path, *CYCLE_GAN, *SHORT, "--skip_bad_images")


def children_of(pid):
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True).stdout
    return [int(word) for word in listed.split()]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="finds the worker with ps")
def test_a_killed_worker_is_one_line_within_seconds(unpaired, tmp_path):  # noqa: F811
    words = [*where(unpaired, tmp_path), *CYCLE_GAN, "--n_epochs", "10000", "--num_threads", "1"]
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), *words], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    log, deadline = tmp_path / "runs" / "run" / "loss_log.jsonl", time.monotonic() + 60
    while time.monotonic() < deadline and not (log.exists() and log.stat().st_size):
        time.sleep(0.1)
    killed = children_of(process.pid)
    os.kill(killed[-1], signal.SIGKILL)
    start = time.monotonic()
    said = process.communicate(timeout=30)[1].decode()
    assert process.returncode == 2, said
    assert time.monotonic() - start < 15
    assert said.strip().count("\n") == 0, said
    assert "a data worker died (Killed)" in said
    assert "memory" in said


def test_shared_memory_is_named_and_other_errors_are_left_alone():
    full = "DataLoader worker (pid 7) is killed by signal: Bus error. It is possible that dataloader's workers are ..."
    assert "/dev/shm" in worker.obituary(full)
    with pytest.raises(InputError, match="--num_threads"), worker.naming_dead_workers():
        raise RuntimeError("DataLoader worker (pid(s) 12) exited unexpectedly")
    with pytest.raises(RuntimeError, match="size mismatch"), worker.naming_dead_workers():
        raise RuntimeError("size mismatch")


# --- repeatable operations ------------------------------------------------------------------------------------------


def test_asking_for_repeatable_operations_is_undone_afterwards(capsys):
    with seeding.repeatable(True, torch.device("cuda", 0)):
        assert torch.are_deterministic_algorithms_enabled()
        assert not torch.backends.cudnn.benchmark
    assert not torch.are_deterministic_algorithms_enabled()
    assert "reflection" in capsys.readouterr().out


def test_deterministic_trains_to_the_same_weights_on_the_cpu(paired, tmp_path, capsys):  # noqa: F811
    words = (*PIX2PIX, *SHORT)
    plain = weights(train(paired, tmp_path, *words, name="plain"), "G")
    exact = weights(train(paired, tmp_path, *words, "--deterministic", name="exact"), "G")
    assert all(torch.equal(plain[key], exact[key]) for key in plain)
    assert "--deterministic: every operation on the CPU" in capsys.readouterr().out


def test_a_skipped_batch_leaves_no_trace_in_pools_and_statistics():
    from util.image_pool import ImagePool
    from util.run.watch import mend

    pool, norm = ImagePool(3), torch.nn.BatchNorm2d(2)
    pool.images = [torch.ones(1, 2, 2, 2), torch.full((1, 2, 2, 2), np.nan)]
    norm.running_mean[0] = float("nan")
    mend(SimpleNamespace(pool=pool, networks_by_name=lambda: {"G": norm}))
    assert len(pool.images) == 1
    assert norm.running_mean.tolist() == [0, 0]
