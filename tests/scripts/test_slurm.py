"""The SLURM script, with fake srun and scontrol that record their calls."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from datasets import make_shapes
from options.train_options import TrainOptions
from util.run import checkpoint

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "slurm_train.sbatch"

SRUN = """#!/usr/bin/env bash
trap 'echo signalled >>"$HERE/srun"; exit "$AFTER_SIGNAL"' USR1
printf "%s\\n" "$@" >"$HERE/words"
echo "$TORCH_ELASTIC_SHUTDOWN_TIMEOUT" >"$HERE/timeout"
touch "$HERE/started"
[ -z "${LONG:-}" ] && exit "${CODE:-0}"
while true; do sleep 0.05; done
"""
SCONTROL = """#!/usr/bin/env bash
echo "$*" >>"$HERE/scontrol"
[ "$1 $2" != "show hostnames" ] || printf "%s\\n" node7 node9
"""


# Of the options that srun has here, none takes a word of its own; exec, so that signals reach torchrun.
REAL_SRUN = """#!/usr/bin/env bash
while [ "${1#--}" != "$1" ]; do shift; done
exec "$@"
"""


class Job:
    """A folder to submit from, with fake programs of a cluster."""

    def __init__(self, folder):
        self.folder, self.programs = folder, folder / "programs"
        self.programs.mkdir()
        (folder / "train.py").touch()
        for name, text in (("srun", SRUN), ("scontrol", SCONTROL)):
            (self.programs / name).write_text(text)
            (self.programs / name).chmod(0o755)
        slurm = {
            "SLURM_SUBMIT_DIR": folder,
            "SLURM_JOB_ID": 123456,
            "SLURM_NNODES": 2,
            "SLURM_JOB_NODELIST": "node[7,9]",
        }
        self.environment = {"PATH": f"{self.programs}:/usr/bin:/bin", "HERE": folder, **slurm}

    def start(self, *words, **environment):
        every = {name: str(value) for name, value in {**self.environment, **environment}.items()}
        spooled = shutil.copy(
            SCRIPT, self.folder / "slurm_script"
        )  # SLURM runs a copy of the script from another folder
        return subprocess.Popen(
            ["bash", spooled, *words], cwd="/", env=every, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def run(self, *words, limit=20, **environment):
        process = self.start(*words, **environment)
        self.printed, self.said = process.communicate(timeout=limit)
        return process.returncode

    def words(self):
        return (self.folder / "words").read_text().splitlines()

    def launched(self):
        """(words for torchrun, words for train.py)."""
        words = self.words()
        program = words.index("train.py")
        return words[words.index("torchrun") + 1 : program], words[program + 1 :]

    def requeued(self):
        return "requeue 123456" in (self.folder / "scontrol").read_text()

    def state(self, name="horses", runs="checkpoints"):
        (self.folder / runs / name).mkdir(parents=True)
        (self.folder / runs / name / "latest_state.pth").touch()


@pytest.fixture
def job(tmp_path):
    return Job(tmp_path)


def value_of(words, flag):
    return words[words.index(flag) + 1]


def test_the_script_is_bash_and_begins_with_sbatch_lines():
    assert subprocess.run(["bash", "-n", SCRIPT], timeout=20).returncode == 0
    lines = SCRIPT.read_text().splitlines()
    settings = [line.removeprefix("#SBATCH ") for line in lines if line.startswith("#SBATCH ")]
    assert lines[1 : 1 + len(settings)] == ["#SBATCH " + each for each in settings]  # sbatch stops at the first command
    assert {"--requeue", "--signal=B:USR1@120", "--ntasks-per-node=1", "--open-mode=append"} <= set(settings)


def test_there_is_one_torchrun_per_machine_with_the_endpoint_on_the_first(job):
    assert job.run("--name", "my horses", "--dataroot", "./data") == 0
    launcher, words = job.launched()
    assert words == ["--name", "my horses", "--dataroot", "./data"]
    assert "--ntasks-per-node=1" in job.words()
    assert value_of(launcher, "--nnodes") == "2"
    assert value_of(launcher, "--nproc_per_node") == "gpu"
    assert value_of(launcher, "--max_restarts") == "0"
    assert value_of(launcher, "--rdzv_backend") == "c10d"
    assert value_of(launcher, "--rdzv_endpoint") == "node7:23456"
    assert value_of(launcher, "--rdzv_id") == "123456.0"
    assert value_of(launcher, "--signals-to-handle") == "SIGTERM,SIGINT,SIGUSR1"
    assert (job.folder / "timeout").read_text() == "100\n"
    assert not job.requeued()


def test_torchrun_and_train_py_accept_their_flags(job):
    from torch.distributed.run import get_args_parser

    assert job.run("--name", "horses", "--dataroot", "./data", PROCESSES=4, RESTARTS=2) == 0
    words = job.words()
    options = get_args_parser().parse_args(words[words.index("torchrun") + 1 :])
    assert (options.nnodes, options.nproc_per_node, options.max_restarts) == ("2", "4", 2)
    assert options.training_script == "train.py"
    assert TrainOptions(options.training_script_args).gather_options().name == "horses"


@pytest.mark.parametrize("code", [0, 3])
def test_the_script_returns_the_exit_code_of_the_step(code, job):
    assert job.run("--name", "horses", CODE=code) == code
    assert not job.requeued()


def test_a_run_with_a_state_is_continued(job):
    job.state()
    job.run("--name", "horses")
    assert job.launched()[1] == ["--name", "horses", "--continue_train"]
    job.run("--name", "horses", "--continue_train")
    assert job.launched()[1] == ["--name", "horses", "--continue_train"]
    job.run("--name=zebras")
    assert job.launched()[1] == ["--name=zebras"]


def test_the_state_is_looked_for_in_the_folder_of_the_flags(job):
    job.state("experiment_name")
    job.state("b", "other runs")
    job.run()
    assert job.launched()[1] == ["--continue_train"]
    job.run("--checkpoints_dir=./other runs", "--name=b")
    assert job.launched()[1] == ["--checkpoints_dir=./other runs", "--name=b", "--continue_train"]
    job.run("--checkpoints_dir", "other runs", "--name", "c")
    assert "--continue_train" not in job.launched()[1]


def test_overwrite_applies_to_the_first_start_only(job):
    job.state()
    job.run("--name", "horses", "--overwrite")
    assert job.launched()[1] == ["--name", "horses", "--overwrite"]
    job.run("--name", "horses", "--overwrite", SLURM_RESTART_COUNT=1)
    launcher, words = job.launched()
    assert words == ["--name", "horses", "--continue_train"]
    assert value_of(launcher, "--rdzv_id") == "123456.1"  # differs from that of the first start


@pytest.mark.parametrize("code, state, requeued", [(1, True, True), (1, False, False), (0, True, False)])
def test_a_signal_is_forwarded_and_an_unfinished_run_is_requeued(code, state, requeued, job):
    process = job.start("--name", "horses", LONG=1, AFTER_SIGNAL=code)
    end = time.monotonic() + 20
    while not (job.folder / "started").exists():
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.02)
    if state:
        job.state()
    os.kill(process.pid, signal.SIGUSR1)  # to this shell alone, as --signal=B: does
    said = process.communicate(timeout=20)[1]
    assert (job.folder / "srun").read_text() == "signalled\n"
    assert job.requeued() == requeued
    assert ("the job is requeued" in said) == requeued
    assert process.returncode == (0 if requeued else code)


def test_unsupported_use_gives_one_line(job):
    assert job.run("--name", "horses", "--suffix", "{model}") == 2
    assert "--name" in job.said
    (job.folder / "train.py").unlink()
    assert job.run("--name", "horses") == 2
    assert "submit from the repository" in job.said
    assert not (job.folder / "words").exists()


@pytest.mark.slow
def test_a_run_is_saved_before_the_time_limit_and_continued_by_the_next_job(job):
    """With torchrun and train.py themselves, on one machine."""
    make_shapes.make(job.folder / "data", "unpaired", size=40, train=8, test=1)
    (job.programs / "srun").write_text(REAL_SRUN)
    (job.programs / "scontrol").write_text(SCONTROL.replace("node7 node9", "localhost"))
    python = Path(sys.executable).parent
    job.environment["PATH"] = f"{job.programs}:{python}:/usr/bin:/bin"
    here = {
        "SLURM_SUBMIT_DIR": ROOT,
        "SLURM_NNODES": 1,
        "SLURM_JOB_ID": os.getpid(),
        "PROCESSES": 2,
        "HOME": job.folder,
    }
    words = "--netG resnet_4blocks --ngf 4 --ndf 4 --load_size 36 --crop_size 32 --display_id 0 --num_threads 0".split()
    words += ["--device", "cpu", "--dataroot", str(job.folder / "data"), "--checkpoints_dir", str(job.folder)]
    words += ["--name", "run", "--overwrite", "--print_freq", "2", "--n_epochs_decay", "0"]

    process = job.start(*words, "--n_epochs", "500", **here)
    log = job.folder / "run" / "loss_log.txt"
    end = time.monotonic() + 120
    while not (log.exists() and "(epoch: 1" in log.read_text()):
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGUSR1)
    printed, said = process.communicate(timeout=100)
    assert process.returncode == 0, said[-3000:]
    assert f"requeue {os.getpid()}" in (job.folder / "scontrol").read_text()
    assert printed.count("SIGUSR1 received: saving and exiting") == 1
    saved = checkpoint.read_state(job.folder / "run" / "latest_state.pth")["progress"]["total_iters"]

    epochs = str(saved // 8 + 2)
    assert job.run(*words, "--n_epochs", epochs, **here, SLURM_RESTART_COUNT=1, limit=200) == 0, job.said[-3000:]
    after = checkpoint.read_state(job.folder / "run" / "latest_state.pth")["progress"]["total_iters"]
    assert after == 8 * int(epochs) > saved
    assert "resumed from" in job.printed
