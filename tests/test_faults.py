"""Kills, full and read-only disks, damaged checkpoints and repeated Ctrl-C, with the real programs."""

import contextlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch
from test_programs import CYCLE_GAN, ROOT, train, translate, unpaired, where  # noqa: F401
from test_resume import assert_same_run, harm_it

import train as train_program
from util import files
from util.errors import InputError
from util.run import checkpoint, weights
from util.run import folder as run_folder

FORK = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
KILLS = 24


def start(dataroot, tmp_path, *words, name="run"):
    """A real `python train.py` in its own process group; its output goes to <name>.txt."""
    command = [sys.executable, str(ROOT / "train.py"), *where(dataroot, tmp_path, name), *words]
    with open(tmp_path / f"{name}.txt", "ab") as out:
        return subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=out, start_new_session=True)


def until(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def trains(tmp_path, name="run", records=1):
    log = tmp_path / "runs" / name / "loss_log.jsonl"
    return lambda: log.exists() and log.read_text().count("\n") >= records


def wait_for_a_save(path, seconds=20):
    def written():
        return path.stat().st_mtime_ns if path.exists() else None

    before, deadline = written(), time.monotonic() + seconds
    while written() == before and time.monotonic() < deadline:
        time.sleep(0.01)


def training_in_a_fork(words, tmp_path):
    """`python train.py` in a process that is forked after the imports, which take seconds."""
    child = os.fork()
    if child:
        return child
    try:
        os.setsid()
        with open(tmp_path / "broken.txt", "a") as out:
            os.dup2(out.fileno(), 1)
            os.dup2(out.fileno(), 2)
            sys.stdout = sys.stderr = os.fdopen(1, "w", closefd=False)
            code = train_program.main(words)
            sys.stdout.flush()
            os._exit(code)
    except BaseException as error:
        os.write(2, f"{error!r}\n".encode())
        os._exit(1)


@FORK
@pytest.mark.slow
def test_a_run_killed_again_and_again_at_random_moments_loses_nothing(unpaired, tmp_path, capsys):  # noqa: F811
    words = (*CYCLE_GAN, "--save_latest_freq", "1", "--save_epoch_freq", "2", "--seed", "5", "--pool_size", "3")
    words = (*words, "--n_epochs", "20", "--n_epochs_decay", "20", "--no_html")
    started = time.monotonic()
    straight = train(unpaired, tmp_path, *words, name="straight")
    duration = time.monotonic() - started
    chance, kills, within = random.Random(0), 0, 0
    first, again = [*where(unpaired, tmp_path, "broken"), *words], where(unpaired, tmp_path, "broken")
    folder = tmp_path / "runs" / "broken"
    for attempt in range(200):
        states = list(folder.glob("*_state.pth"))
        flags = [*again, "--continue_train"] if states else [*first, *(["--overwrite"] if attempt else [])]
        process = training_in_a_fork(flags, tmp_path)
        if kills < KILLS:
            if chance.random() < 0.25:  # while it starts
                time.sleep(chance.uniform(0, 0.5))
            else:  # during steps and saves; early enough that the run does not finish before the last kill
                wait_for_a_save(folder / "latest_state.pth")
                time.sleep(chance.uniform(0, duration / (1.5 * KILLS)))
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        ended = os.waitpid(process, 0)[1]
        within += bool(list(folder.glob(f"{files.UNFINISHED}*")))
        if not os.WIFSIGNALED(ended):
            assert os.WEXITSTATUS(ended) == 0, (tmp_path / "broken.txt").read_text()[-2000:]
            break
        kills += 1
        for found in checkpoint.find(str(folder))[:1]:
            assert checkpoint.damage(str(folder), found) is None
    with capsys.disabled():
        print(f" [{kills} kills at random moments, {within} of them inside a save]", end="")
    assert kills >= 20
    assert_same_run(straight, folder)
    assert not list(folder.glob(f"{files.UNFINISHED}*"))


@pytest.mark.slow
def test_a_killed_train_py_can_be_resumed_at_once_with_the_same_result(unpaired, tmp_path, capsys):  # noqa: F811
    """Data workers outlive a killed process for seconds, but its lock must not."""
    words = (*CYCLE_GAN, "--save_latest_freq", "1", "--seed", "5", "--n_epochs", "2", "--n_epochs_decay", "1")
    straight = train(unpaired, tmp_path, *words, name="straight")
    process = start(unpaired, tmp_path, *words, "--num_threads", "2", "--n_epochs", "1000", name="broken")
    until(trains(tmp_path, "broken", 2))
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    with run_folder.owning(str(tmp_path / "runs" / "broken")):
        pass  # at once
    again = start(unpaired, tmp_path, "--continue_train", "--n_epochs", "2", "--num_threads", "2", name="broken")
    assert again.wait(timeout=120) == 0, (tmp_path / "broken.txt").read_text()
    assert "resumed from" in (tmp_path / "broken.txt").read_text()
    assert_same_run(straight, tmp_path / "runs" / "broken")
    with capsys.disabled():
        print(" [1 kill -9 of train.py with workers]", end="")


@FORK
def test_the_lock_is_released_with_its_process_even_if_a_worker_survives(tmp_path):
    folder, ready = str(tmp_path / "run"), tmp_path / "ready"
    owner = os.fork()
    if not owner:
        with run_folder.owning(folder):
            worker = os.fork()
            if not worker:
                time.sleep(60)
                os._exit(0)
            ready.write_text(str(worker))
            time.sleep(60)
    until(lambda: ready.exists() and ready.read_text())
    try:
        with pytest.raises(InputError, match="another process"), run_folder.owning(folder):
            pass
        os.kill(owner, signal.SIGKILL)
        os.waitpid(owner, 0)
        with run_folder.owning(folder):
            os.kill(int(ready.read_text()), 0)  # the worker still runs
    finally:
        os.kill(int(ready.read_text()), signal.SIGKILL)


def test_a_file_system_without_locks_is_reported_and_used(tmp_path, monkeypatch, capsys):
    fcntl = pytest.importorskip("fcntl")

    def no_locks(*args):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with run_folder.owning(str(tmp_path / "run")):
        assert "has no locks (No locks available)" in capsys.readouterr().err


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs os.mkfifo")
def test_a_second_ctrl_c_ends_the_program_at_once(unpaired, tmp_path):  # noqa: F811
    process = start(unpaired, tmp_path, *CYCLE_GAN, "--n_epochs", "100000", "--num_threads", "1")
    try:
        until(trains(tmp_path))
        for path in unpaired.glob("trainA/*.png"):  # the data loader blocks from here on, so no step ends
            path.unlink()
            os.mkfifo(path)
        time.sleep(2)
        process.send_signal(signal.SIGINT)
        time.sleep(1)
        assert process.poll() is None  # the first one waits for its step
        assert "Ctrl-C: finishing this step, then saving; press it again" in (tmp_path / "run.txt").read_text()
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == -signal.SIGINT
        assert time.monotonic() - began < 2
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def test_the_second_ctrl_c_kills_and_the_first_signal_gives_the_reason():
    program = (
        "import os, signal, time\n"
        "from util.run import running\n"
        "with running.handling_signals() as stopping:\n"
        "    for name in ('SIGTERM', 'SIGUSR1', 'SIGINT'):\n"
        "        os.kill(os.getpid(), getattr(signal, name))\n"
        "        print(stopping.requested(), stopping.reason, stopping.exit_code, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    time.sleep(30)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=20)
    assert done.stdout.splitlines() == ["True SIGTERM received 143"] * 3
    assert done.returncode == -signal.SIGINT


@pytest.mark.parametrize(
    "work", ["time.sleep(30)", "\n        try: time.sleep(30)\n        except BaseException: raise ImportError('lost')"]
)
def test_ctrl_c_outside_the_loop_gives_one_line(work):
    program = (
        "import os, signal, threading, time\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's background jobs ignore the signal
        "from util.errors import clear_errors\n"
        "threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
        f"with clear_errors():\n    if True: {work}\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "stopped by Ctrl-C\n")


def test_an_ignored_ctrl_c_stays_ignored():
    program = (
        "import os, signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nfrom util.errors import clear_errors\n"
        "with clear_errors():\n    os.kill(os.getpid(), signal.SIGINT)\n    print('goes on')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stdout) == (0, "goes on\n")


@contextlib.contextmanager
def file_size_limit(size):
    """Writes beyond `size` bytes fail with EFBIG, as at a quota."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)


def test_a_failed_write_names_path_and_bytes_and_changes_nothing(tmp_path):
    net = torch.nn.Linear(400, 400)
    path = tmp_path / "latest_net_G.pth"
    weights.save_weights(net, path)
    before, tries = path.read_bytes(), 0
    for size in (0, 1, 4096, 100_000, 640_000):
        with file_size_limit(size), pytest.raises(InputError) as caught:
            weights.save_weights(net, path)
        assert str(path) in str(caught.value) and "(File too large); 641,600 bytes are needed" in str(caught.value)
        assert "free" not in str(caught.value) and "\n" not in str(caught.value)
        assert path.read_bytes() == before
        assert os.listdir(tmp_path) == [path.name]
        tries += 1
    assert tries == 5


def test_a_disk_that_fills_up_in_training_gives_a_warning_and_keeps_the_checkpoint(unpaired, tmp_path, capsys):  # noqa: F811
    run = train(unpaired, tmp_path, *CYCLE_GAN)
    before = {path.name: path.read_bytes() for path in run.glob("latest_*")}
    with (
        file_size_limit(50_000),
        pytest.raises(InputError, match=r"runs/run/latest_net_\w+.pth: can't be written.*bytes"),
    ):
        train(unpaired, tmp_path, "--continue_train", "--n_epochs", "2", "--save_latest_freq", "1")
    assert capsys.readouterr().err.count("the training continues") >= 4
    assert {path.name: path.read_bytes() for path in run.glob("latest_*")} == before
    assert not list(run.glob(f"{files.UNFINISHED}*"))
    train(unpaired, tmp_path, "--continue_train", "--n_epochs", "2")
    assert len(before) == 6


def test_too_little_disk_space_is_reported_before_writing(unpaired, tmp_path, monkeypatch):  # noqa: F811
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=12_345))
    with pytest.raises(InputError, match=r"a checkpoint needs [\d,]+ bytes and 12,345 bytes are free"):
        train(unpaired, tmp_path, *CYCLE_GAN)
    assert not list((tmp_path / "runs" / "run").glob("*.pth"))


def test_a_file_as_checkpoints_dir_is_refused_before_training(unpaired, tmp_path):  # noqa: F811
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(InputError, match="runs.*; choose another --checkpoints_dir$"):
        train(unpaired, tmp_path, *CYCLE_GAN)


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_refused_before_training(unpaired, tmp_path):  # noqa: F811
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs").chmod(0o555)
    with pytest.raises(InputError, match="can't be written"):
        train(unpaired, tmp_path, *CYCLE_GAN)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of one megabyte."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no mount here")
    if done.returncode:
        pytest.skip(f"mounting is not allowed here: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_keeps_the_old_checkpoint(small_disk, monkeypatch):
    net = torch.nn.Linear(300, 300)  # 361,200 bytes: two of them fit, three do not
    for name in ("1_net_G.pth", "latest_net_G.pth"):
        weights.save_weights(net, small_disk / name)
    before = (small_disk / "latest_net_G.pth").read_bytes()
    with pytest.raises(InputError, match=r"No space left.*361,200 bytes are needed and [\d,]+ bytes are free"):
        weights.save_weights(net, small_disk / "latest_net_G.pth")
    assert (small_disk / "latest_net_G.pth").read_bytes() == before
    assert len(os.listdir(small_disk)) == 2


def test_a_disk_mounted_read_only_is_refused_before_training(small_disk, unpaired, tmp_path):  # noqa: F811
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    words = [*where(unpaired, tmp_path), *CYCLE_GAN, "--checkpoints_dir", str(small_disk / "runs")]
    with pytest.raises(InputError, match=r"run: can't be written \(Read-only .*; choose another --checkpoints_dir$"):
        train_program.main(words)


def test_training_on_a_disk_that_is_too_small_stops_with_the_sizes(small_disk, unpaired, tmp_path):  # noqa: F811
    words = [*where(unpaired, tmp_path), *CYCLE_GAN, "--checkpoints_dir", str(small_disk), "--ngf", "16"]
    with pytest.raises(InputError, match=r"needs [\d,]+ bytes and [\d,]+ bytes are free"):
        train_program.main(words)
    assert not list((small_disk / "run").glob("*.pth"))


@pytest.mark.parametrize("harm", ["truncated", "flipped"])
def test_a_test_names_a_damaged_export_and_an_undamaged_checkpoint(harm, unpaired, tmp_path):  # noqa: F811
    run = train(unpaired, tmp_path, *CYCLE_GAN, "--save_epoch_freq", "1")
    tried = 0
    for path in sorted(run.glob("latest_net_G_*.pth")):
        whole = path.read_bytes()
        harm_it(path, harm)
        with pytest.raises(InputError, match=rf"{path.name}: damaged.*whole in this folder: --epoch 2, --epoch 1"):
            translate(unpaired, tmp_path)
        assert not (tmp_path / "results").exists()
        path.write_bytes(whole)
        tried += 1
    harm_it(run / "latest_net_G_A.pth", harm)
    test_of_epoch = translate(unpaired, tmp_path, "--epoch", "2").parent / "test_2"
    assert (test_of_epoch / "index.html").exists()
    assert tried == 2


def test_a_truncated_manifest_is_ignored(unpaired, tmp_path, capsys):  # noqa: F811
    run = train(unpaired, tmp_path, *CYCLE_GAN)
    path = run / "latest_manifest.json"
    whole = path.read_bytes()
    for content in (b"", b"{", whole[: len(whole) // 2], b"[" * 50_000, b"null", b'{"files": [], "total_iters": 1}'):
        path.write_bytes(content)
        assert run_folder.read_manifest(str(run), "latest") is None
        translate(unpaired, tmp_path, "--num_test", "1")
    train(unpaired, tmp_path, "--continue_train", "--n_epochs", "2")
    assert "resumed from" in capsys.readouterr().out
    assert json.loads(path.read_text())["total_iters"] == 12
