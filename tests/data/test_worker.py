"""Unreadable images, and data workers that die."""

import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from test_programs import CYCLE_GAN, ROOT, train, unpaired, weights, where  # noqa: F401

from data.loading import worker
from util.errors import InputError

SHORT = ("--seed", "5", "--n_epochs_decay", "0", "--save_latest_freq", "1")


def all_finite(run, names=("G_A", "G_B", "D_A", "D_B")):
    return all(value.isfinite().all() for name in names for value in weights(run, name).values())


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


def test_a_folder_of_unreadable_images_is_an_error_with_skip_bad_images(unpaired, tmp_path):  # noqa: F811
    break_images(unpaired / "trainA", "0.png", "1.png", "2.png")
    with pytest.raises(InputError, match="in a row can't be read"):
        train(unpaired, tmp_path, *CYCLE_GAN, *SHORT, "--skip_bad_images")


def children_of(pid):
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True).stdout
    return [int(word) for word in listed.split()]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="finds the worker with ps")
def test_a_killed_worker_gives_one_line_within_seconds(unpaired, tmp_path):  # noqa: F811
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
    # The cause is unknown when the worker died while it handed over a batch.
    assert "a data worker died (Killed)" in said or "a data worker died (it exited unexpectedly)" in said
    assert "memory" in said


def test_errors_of_shared_memory_are_explained_and_others_are_not_changed():
    full = "DataLoader worker (pid 7) is killed by signal: Bus error. It is possible that dataloader's workers are ..."
    assert "/dev/shm" in worker.explain_death(full)
    with pytest.raises(InputError, match="--num_threads"), worker.naming_dead_workers():
        raise RuntimeError("DataLoader worker (pid(s) 12) exited unexpectedly")
    with pytest.raises(RuntimeError, match="size mismatch"), worker.naming_dead_workers():
        raise RuntimeError("size mismatch")
