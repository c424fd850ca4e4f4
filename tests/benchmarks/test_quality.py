"""benchmarks/quality.py: what is kept of a benchmark that breaks off, its table, and one small run from end to end."""

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "benchmarks"))  # behind the project: its data.py is not the package data

import quality  # noqa: E402


def result(*l1):
    """A run with these values of its evaluations."""
    curve = [{"images_seen": 10 * number, "metrics": {"l1": value}} for number, value in enumerate(l1, 1)]
    scores = {"l1": l1[-1], "ssim": 0.5, "edges": 0.5}
    variants = {"last": scores, "averaged": scores, "best": {**scores, "l1": min(l1)}}
    return {"seed": 0, "seconds": 1.0, "iterations": 60, "curve": curve, **variants}


def start(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["quality.py", "--size", "32", "--train", "2", "--test", "2", *words])


def test_a_benchmark_that_breaks_off_keeps_the_runs_that_have_ended(monkeypatch, tmp_path):
    made = []

    def run(bench, flags, seed, iterations):
        if len(made) == 3:
            raise KeyboardInterrupt
        made.append((flags, seed))
        return result(0.3, 0.2)

    monkeypatch.setattr(quality.Bench, "run", run)
    monkeypatch.setattr(quality.Bench, "iterations", lambda bench, flags: 6)
    start(monkeypatch, "--json", str(tmp_path / "q.json"), "--run", "a=--model pix2pix", "--run", "b=--model cut")
    with pytest.raises(KeyboardInterrupt):
        quality.main()
    content = json.loads((tmp_path / "q.json").read_text())
    assert {name: len(runs) for name, runs in content["found"].items()} == {"a": 2, "b": 1}
    assert set(content["simple"]) == {"no translation", "the mean"}
    assert made == [("--model pix2pix", 0), ("--model cut", 0), ("--model pix2pix", 1)]  # runs of a seed take turns


def test_a_json_file_that_can_not_be_written_is_refused_before_the_runs(monkeypatch, tmp_path, capsys):
    start(monkeypatch, "--json", str(tmp_path / "nowhere" / "q.json"))
    with pytest.raises(SystemExit):
        quality.main()
    assert "its folder does not exist" in capsys.readouterr().err


def test_the_table_names_the_runs_whose_best_evaluation_was_not_the_last(capsys):
    simple = {"no translation": {"l1": 0.1, "ssim": 0.2, "edges": 1.0}}
    quality.show({"first": [result(0.3, 0.2, 0.25)], "second": [result(0.3, 0.2, 0.1)]}, simple)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[:3] == ["no", "translation", "0.1000"]
    assert "0.2500 (0.2500..0.2500)" in lines[2] and "0.2000 (0.2000..0.2000)" in lines[2]
    assert lines[-2] == "first, seed 0: best l1 0.2000 after 20 images, last l1 0.2500 after 30 images"
    assert lines[-1] == "the best evaluation was not the last in 1 of 2 runs"


def test_there_is_a_row_for_each_question():
    assert {"pix2pix", "cycle_gan", "cut", "fastcut", "dclgan", "simdcl", "cycle_gan, bf16"} <= set(quality.RUNS)
    few = {name: flags for name, flags in quality.RUNS.items() if "--max_dataset_size 50" in flags}
    assert len(few) == 4 and sum("--diffaugment" in flags for flags in few.values()) == 2


@pytest.mark.slow
def test_a_small_benchmark_runs_to_its_end(monkeypatch, tmp_path, capsys):
    words = ["--seconds", "0.2", "--seeds", "0", "--json", str(tmp_path / "q.json")]
    start(monkeypatch, *words, "--run", "pairs=--model pix2pix --max_dataset_size 2 --diffaugment cutout")
    quality.main()
    (run,) = json.loads((tmp_path / "q.json").read_text())["found"]["pairs"]
    assert len(run["curve"]) >= 6
    assert all(0 < run[variant]["l1"] < 1 for variant in quality.VARIANTS)
    assert "the best evaluation was not the last in" in capsys.readouterr().out
