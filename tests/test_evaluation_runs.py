"""--eval_metrics in training and --metrics in a test: the same numbers, and a training that isn't disturbed."""

import json

import numpy as np
import pytest
from PIL import Image
from same import assert_same
from test_programs import PIX2PIX, picture, train, where

import test as test_program
from scripts import evaluate
from util.run import checkpoint

METRICS = "l1,psnr,edges,fid"
EVALUATED = ("--eval_freq", "3", "--eval_metrics", METRICS, "--best_metric", "psnr")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Pairs, and a run with evaluations beside the same run without; both have dropout and batch norm."""
    folder = tmp_path_factory.mktemp("evaluated")
    for phase, images in (("train", 4), ("val", 3), ("test", 2)):
        for i in range(images):
            picture(folder / "pairs" / phase / f"{i}.png", width=80, seed=i + 10 * len(phase))
    words = (*PIX2PIX, "--seed", "3", "--ema", "0.9", "--n_epochs", "2", "--n_epochs_decay", "1")
    train(folder / "pairs", folder, *words, *EVALUATED, name="evaluated")
    train(folder / "pairs", folder, *words, name="plain")
    return folder


def lines(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def scored(place, *words, name="evaluated", data="pairs", tag="val_latest"):
    """The metrics.json of a test."""
    results = ("--results_dir", str(place / "results"))
    test_program.main([*where(place / data, place, name), *results, *words])
    return json.loads((place / "results" / name / tag / "metrics.json").read_text())


def values(scores):
    return {name: metric["value"] for name, metric in scores["metrics"].items()}


def test_there_is_a_line_for_each_evaluation(place):
    found = lines(place / "runs/evaluated")
    assert [(line["images_seen"], line["epoch"]) for line in found] == [(3, 1), (6, 2), (9, 3), (12, 3)]
    assert all(set(line) == {"images_seen", "epoch", "metrics"} for line in found)
    assert all(set(line["metrics"]) == {"l1", "psnr", "edges"} for line in found)  # fid has no weights here
    assert len({line["metrics"]["l1"] for line in found}) == 4


def test_evaluations_do_not_disturb_the_training(place):
    states = [checkpoint.read_state(place / "runs" / name / "latest_state.pth") for name in ("evaluated", "plain")]
    states[0].pop("evaluations")
    assert_same(*states)
    logs = [(place / "runs" / name / "loss_log.jsonl").read_text().splitlines() for name in ("evaluated", "plain")]
    assert [json.loads(line)["losses"] for line in logs[0]] == [json.loads(line)["losses"] for line in logs[1]]


def test_a_test_of_the_same_checkpoint_has_the_same_numbers(place):
    found = scored(place, "--phase", "val", "--metrics", METRICS)
    assert values(found) == lines(place / "runs/evaluated")[-1]["metrics"]
    newest = json.loads((place / "runs/evaluated/metrics.json").read_text())
    assert newest["metrics"] == found["metrics"] and newest["images_seen"] == 12
    assert sorted(found["images"]) == ["0", "1", "2"] and set(found["images"]["0"]) == {"l1", "psnr", "edges"}
    assert found["metrics"]["l1"]["provenance"]["samples"] == 3
    assert "download https://" in found["skipped"]["fid"]
    last_weights = scored(place, "--phase", "val", "--metrics", "l1", "--use_ema", "no")
    assert values(last_weights)["l1"] != values(found)["l1"]


def test_the_best_checkpoint_is_kept(place):
    found = lines(place / "runs/evaluated")
    best = max(line["metrics"]["psnr"] for line in found)
    assert (
        values(scored(place, "--phase", "val", "--metrics", "psnr", "--epoch", "best", tag="val_best"))["psnr"] == best
    )
    state = checkpoint.read_state(place / "runs/evaluated/best_state.pth")
    assert state["evaluations"]["best"] == best
    assert {"images_seen": state["progress"]["total_iters"]}.items() <= max(
        found, key=lambda x: x["metrics"]["psnr"]
    ).items()


def test_scoring_the_folder_of_results_gives_the_numbers_of_the_test(place):
    found = scored(place, "--metrics", "l1,edges", "--results_layout", "folders", tag="test_latest")
    folder = place / "results/evaluated/test_latest/images"
    words = ["--real", folder / "real_B", "--fake", folder / "fake_B", "--input", folder / "real_A", "--paired"]
    evaluate.main([*map(str, words), "--metrics", "l1,edges", "--output", str(place / "scores.json")])
    again = json.loads((place / "scores.json").read_text())
    assert again == found
    real, fake = (np.asarray(Image.open(folder / side / "0.png"), dtype=float) for side in ("real_B", "fake_B"))
    assert found["images"]["0"]["l1"] == pytest.approx(np.abs(real - fake).mean() / 255)
