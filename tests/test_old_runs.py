"""Runs that an earlier version of this program wrote are continued and tested: tests/old_runs/runs.tar.xz.

Made with that version's datasets/make_shapes.py (--size 32 --train 6 --test 2) and train.py, one epoch and one more of
decay; networks of a few channels. Each run has its options, the weights of each network, the state and the manifest.
"""

import contextlib
import io
import tarfile
from pathlib import Path

import pytest
import torch

import test as test_program
import train as train_program
from datasets import make_shapes
from models import create_model
from options.train_options import TrainOptions
from util.run import states

ARCHIVE = Path(__file__).resolve().parent / "old_runs" / "runs.tar.xz"
DATA = {"pix2pix": "paired", "cycle_gan": "unpaired", "cut": "unpaired", "stargan": "attributes"}


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shapes")
    with contextlib.redirect_stdout(io.StringIO()):
        for kind in set(DATA.values()):
            make_shapes.main(
                ["--to", str(folder / kind), "--kind", kind, "--size", "32", "--train", "6", "--test", "2"]
            )
    return folder


@pytest.fixture
def runs(tmp_path):
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path / "runs", filter="data")
    return tmp_path / "runs"


def words(runs, shapes, name):
    run = ["--checkpoints_dir", str(runs), "--name", name, "--device", "cpu", "--num_threads", "0"]
    return ["--dataroot", str(shapes / DATA[name]), *run]


def equal(mine, theirs):
    """Whether two nested states hold the same values."""
    if isinstance(mine, torch.Tensor):
        return torch.equal(mine, theirs)
    if isinstance(mine, dict):
        return mine.keys() == theirs.keys() and all(equal(mine[key], theirs[key]) for key in mine)
    if isinstance(mine, list | tuple):
        return len(mine) == len(theirs) and all(map(equal, mine, theirs))
    return mine == theirs


@pytest.mark.parametrize("name", DATA)
def test_the_state_is_loaded_value_for_value(runs, shapes, name):
    opt = TrainOptions([*words(runs, shapes, name), "--continue_train", "--n_epochs_decay", "2"]).parse()
    model = create_model(opt)
    model.setup(opt)
    stored = torch.load(runs / name / "latest_state.pth", weights_only=True)["model"]
    states.load_model_state(model, stored, "the stored run")
    loaded = states.model_state(model)
    assert equal(loaded["networks"], stored["networks"])
    for mine, theirs in zip(loaded["optimizers"], stored["optimizers"], strict=True):
        assert equal(mine["state"], theirs["state"])
    assert equal(loaded["pools"], stored["pools"])
    assert equal(loaded.get("own"), stored.get("own"))
    exports = {net: torch.load(runs / name / f"latest_net_{net}.pth") for net in stored["networks"]}
    assert equal(exports, stored["networks"])


@pytest.mark.parametrize("name", DATA)
def test_a_run_is_continued(runs, shapes, name, capsys):
    more = ["--n_epochs_decay", "2", "--display_id", "0", "--no_html", "--print_freq", "1"]
    assert train_program.main([*words(runs, shapes, name), "--continue_train", *more]) == 0
    printed = capsys.readouterr().out
    assert "resumed from" in printed and "(epoch: 3, iters: " in printed and "(epoch: 2, iters: " not in printed
    state = states.read_state(str(runs / name / "latest_state.pth"))
    assert state["progress"]["epoch"] >= 3


@pytest.mark.parametrize("name", DATA)
def test_a_run_is_tested(runs, shapes, tmp_path, name, capsys):
    assert test_program.main([*words(runs, shapes, name), "--results_dir", str(tmp_path / "results")]) == 0
    pages = list((tmp_path / "results" / name).glob("*/index.html"))
    assert len(pages) == 1 and len(list(pages[0].parent.glob("images/*.png"))) >= 2
