"""benchmarks/scaling.py: its arithmetic fits the networks and docs/distributed.md; a measurement with two processes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "benchmarks"))  # after the project on the path: benchmarks/data.py is not the package data

import scaling  # noqa: E402
from workload import Setting  # noqa: E402

NET = ("--ngf", "4", "--ndf", "4", "--netG", "resnet_4blocks")


def test_bytes_are_those_of_the_parameters():
    once = scaling.bytes_of(Setting("cycle_gan", 32, 1), NET)
    assert once == scaling.bytes_of(Setting("cycle_gan", 32, 4), NET)
    model = scaling.workload.build(Setting("cycle_gan", 32, 1), NET, "cpu")
    parameters = [p for net in model.networks_by_name().values() for p in net.parameters()]
    assert once == 4 * sum(p.numel() for p in parameters)


def test_a_generator_counts_as_often_as_it_is_updated():
    words = "--g_conv_dim 4 --d_conv_dim 4 --d_repeat_num 3".split()
    always, rarely = (
        scaling.bytes_of(Setting("stargan", 32, 1), [*words, "--n_critic", number]) for number in ("1", "4")
    )
    model = scaling.workload.build(Setting("stargan", 32, 1), words, "cpu")
    assert always - rarely == 0.75 * sum(p.nbytes for p in model.netG.parameters())


def test_a_ring_transfers_nearly_twice_the_bytes():
    assert scaling.ring_seconds(100, 1, 10) == 0
    assert scaling.ring_seconds(100, 2, 10) == 10
    assert scaling.ring_seconds(100, 1000, 10) == pytest.approx(20, rel=0.01)
    assert scaling.left(1, 0) == 1
    assert scaling.left(1, 3) == 0.25


def test_the_doc_page_has_the_table_that_the_command_prints(capsys):
    rows = scaling.main(["--device", "cpu"])["rows"]
    assert capsys.readouterr().out in (ROOT / "docs/distributed.md").read_text(encoding="utf-8")
    assert [row["model"] for row in rows] == list(scaling.MODELS)


def test_a_transfer_hidden_by_the_backward_pass_adds_no_time():
    words = ["--device", "cpu", "--models", "cycle_gan@32", *NET]
    [row] = scaling.main([*words, "--step", "1000"])["rows"]
    assert all(link["hidden"] == 1 > link["after"] for link in row["links"].values())


@pytest.mark.slow
def test_two_processes_are_compared_with_one(tmp_path):
    path = tmp_path / "found.json"
    command = [sys.executable, str(ROOT / "benchmarks/scaling.py"), "--measure", "--rounds", "2", "--steps", "1"]
    words = ["--device", "cpu", "--models", "cycle_gan@32", "--json", str(path), *NET]
    done = subprocess.run([*command, *words], cwd=ROOT, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr[-3000:]
    rows = json.loads(path.read_text())["rows"]
    assert [row["variant"] for row in rows] == ["1", "overlap", "after"]
    assert rows[0]["efficiency"] == {"median": 1, "min": 1, "max": 1, "n": 2}
    assert all(row["processor_seconds_per_image"]["min"] > 0 for row in rows)
    assert done.stdout.count("1 process") == 1
