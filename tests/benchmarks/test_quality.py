"""benchmarks/quality.py: the layouts of the data, what a stopped benchmark keeps, its table, and small whole runs."""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "benchmarks"))  # behind the project: its data.py is not the package data

import layouts  # noqa: E402
import quality  # noqa: E402

from util.errors import InputError  # noqa: E402


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
    found = {"first": [result(0.3, 0.2, 0.25)], "second": [result(0.3, 0.2, 0.1)]}
    quality.show(found, simple, ["l1", "ssim", "edges"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[:3] == ["no", "translation", "0.1000"]
    assert "0.2500 (0.2500..0.2500)" in lines[2] and "0.2000 (0.2000..0.2000)" in lines[2]
    assert lines[-2] == "first, seed 0: best l1 0.2000 after 20 images, last l1 0.2500 after 30 images"
    assert lines[-1] == "the best checkpoint was not the last in 1 of 2 runs"


def test_there_is_a_row_for_each_question():
    models = {"pix2pix", "cycle_gan", "cut", "fastcut", "dclgan", "simdcl", "stargan"}
    assert models | {"cycle_gan, bf16"} <= set(quality.RUNS)
    few = {name: flags for name, flags in quality.RUNS.items() if "--max_dataset_size 50" in flags}
    assert len(few) == 5 and sum("--diffaugment" in flags for flags in few.values()) == 3


def draw_pairs(folder, count):
    """Pairs of 24x20 pixels: the left side of pair n is of gray value n, the right side of 200 + n."""
    folder.mkdir(parents=True)
    for number in range(count):
        pair = np.full((20, 48, 3), number, np.uint8)
        pair[:, 24:] += 200
        Image.fromarray(pair).save(folder / f"{number}.png")


def grays(folder):
    """name -> gray value of the images of a folder, which have one colour each."""
    images = {path.name: np.asarray(Image.open(path)) for path in folder.iterdir()}
    assert {image.shape for image in images.values()} == {(16, 16, 3)}
    assert all(np.ptp(image) == 0 for image in images.values())
    return {name: int(image[0, 0, 0]) for name, image in images.items()}


def test_pairs_become_unpaired_folders_that_share_no_scene_in_training(tmp_path):
    draw_pairs(tmp_path / "photos/train", 4)
    draw_pairs(tmp_path / "photos/test", 2)
    data = layouts.scaled(tmp_path / "photos", tmp_path / "made", 16)
    unpaired = data["unpaired"]
    assert grays(unpaired / "trainA") == {"0.png": 0, "1.png": 1}
    assert grays(unpaired / "trainB") == {"2.png": 202, "3.png": 203}
    assert grays(unpaired / "testA") == {"0.png": 0, "1.png": 1}
    assert grays(unpaired / "testB") == {"0.png": 200, "1.png": 201}
    assert grays(data["domains"] / "train/B") == grays(unpaired / "trainB")
    pair = np.asarray(Image.open(data["paired"] / "train/3.png"))
    assert pair.shape == (16, 32, 3) and set(np.unique(pair[:, :16])) == {3} and set(np.unique(pair[:, 16:])) == {203}


def test_unpaired_folders_are_limited_and_have_no_layout_of_pairs(tmp_path):
    for part in ("trainA", "trainB", "testA", "testB"):
        draw_pairs(tmp_path / "photos" / part, 3)
    data = layouts.scaled(tmp_path / "photos", tmp_path / "made", 16, train=2, test=1)
    assert set(data) == {"unpaired", "domains"}
    counts = {path.name: len(list(path.iterdir())) for path in data["unpaired"].iterdir()}
    assert counts == {"trainA": 2, "trainB": 2, "testA": 1, "testB": 1}


def test_a_data_set_without_a_test_folder_is_refused(tmp_path):
    draw_pairs(tmp_path / "photos/train", 2)
    with pytest.raises(InputError, match="no images in .*test"):
        layouts.scaled(tmp_path / "photos", tmp_path / "made", 16)


def test_without_pairs_the_default_runs_of_pix2pix_are_left_out_and_others_refused():
    data = {"unpaired": "u", "domains": "d"}
    options = argparse.Namespace(run=None, runs=quality.RUNS, dataroot="photos")
    quality.check_layouts(options, data)
    assert "cut" in options.runs and "stargan" in options.runs and not any("pix2pix" in name for name in options.runs)
    asked = argparse.Namespace(run=["a=--model pix2pix"], runs={"a": "--model pix2pix"}, dataroot="photos")
    with pytest.raises(InputError, match="--run a: .* pairs"):
        quality.check_layouts(asked, data)


def test_the_best_checkpoint_follows_the_direction_of_the_metric():
    curve = [{"metrics": {"judge": value, "l1": value}} for value in (0.2, 0.9, 0.1, 0.9)]
    assert quality.best_of(curve, "judge") is curve[1]
    assert quality.best_of(curve, "l1") is curve[2]


@pytest.mark.slow
def test_a_small_benchmark_runs_to_its_end(monkeypatch, tmp_path, capsys):
    words = ["--seconds", "0.2", "--seeds", "0", "--json", str(tmp_path / "q.json")]
    start(monkeypatch, *words, "--run", "pairs=--model pix2pix --max_dataset_size 2 --diffaugment cutout")
    quality.main()
    (run,) = json.loads((tmp_path / "q.json").read_text())["found"]["pairs"]
    assert 1 < len(run["curve"]) <= quality.CHECKPOINTS
    assert all(0 < run[variant]["l1"] < 1 for variant in quality.VARIANTS)
    assert "the best checkpoint was not the last in" in capsys.readouterr().out


@pytest.mark.slow
def test_pairs_of_photos_are_translated_from_b_to_a(monkeypatch, tmp_path):
    layouts.draw(tmp_path, 32, 10, 3)
    where = ["--dataroot", str(tmp_path / "paired"), "--direction", "BtoA", "--metrics", "judge,l1"]
    words = ["--seconds", "0.2", "--seeds", "0", "--size", "32", "--json", str(tmp_path / "q.json")]
    stargan = f"stargan={quality.SMALL_STARGAN}"
    monkeypatch.setattr(sys, "argv", ["quality.py", *where, *words, "--run", "cut=--model cut", "--run", stargan])
    quality.main()
    content = json.loads((tmp_path / "q.json").read_text())
    assert content["simple"]["real images"]["judge"] > content["simple"]["no translation"]["judge"]
    assert "l1" not in content["simple"]["real images"]
    for (run,) in content["found"].values():
        assert 1 < len(run["curve"]) <= quality.CHECKPOINTS
        assert 0 < run["averaged"]["l1"] < 1 and run["best"]["judge"] >= run["averaged"]["judge"]
