"""scripts/evaluate.py on two folders: values, file, messages, exit codes; scripts/train_judge.py."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from scripts import evaluate, train_judge
from util.errors import InputError
from util.evaluation import NAMES
from util.run.folder import digest


def paint(path, level, size=(16, 12), seed=None):
    """An image of one gray level, or with a seed of noise around it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = 0 if seed is None else np.random.default_rng(seed).normal(0, 20, (*size[::-1], 3))
    Image.fromarray(np.clip(np.full((*size[::-1], 3), level) + noise, 0, 255).astype(np.uint8)).save(path)


def run(folder, words):
    """(exit code, content of the JSON file) of a call; {} in the words is the folder."""
    output = folder / "out.json"
    code = evaluate.main([*words.replace("{}", str(folder)).split(), "--output", str(output)])
    return code, json.loads(output.read_text())


@pytest.fixture
def folders(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "cache"))
    for name, level in (("a", 0), ("sub/b", 51), ("c", 102)):
        paint(tmp_path / f"real/{name}.png", level, seed=1)
        paint(tmp_path / f"fake/{name}.bmp", level + 51, seed=1)
    (tmp_path / "empty").mkdir()
    return tmp_path


def test_pairs_are_means_over_images_with_intervals_and_provenance(folders, capsys):
    code, found = run(folders, "--real {}/real --fake {}/fake --paired --metrics psnr,l1")
    assert code == 0 and found["skipped"] == {}
    assert list(found["metrics"]) == ["psnr", "l1"]
    assert sorted(found["images"]) == ["a", "c", "sub/b"]
    for name, metric in found["metrics"].items():
        values = [each[name] for each in found["images"].values()]
        assert metric["value"] == pytest.approx(np.mean(values))
        low, high = metric["interval"]
        assert min(values) <= low <= metric["value"] <= high <= max(values)
        record = metric["provenance"]
        assert (record["samples"], record["seed"], record["resamples"]) == (3, 0, 1000)
        assert record["implementation"].startswith("metamer") and record["version"]
    shown = capsys.readouterr().out
    assert "psnr" in shown and "[" in shown and "samples 3" in shown


def test_scores_of_a_folder_with_itself_are_perfect(folders):
    _, found = run(folders, "--real {}/real --fake {}/real --paired --metrics l1,psnr,ssim,edges")
    assert found["metrics"]["psnr"]["value"] == "inf" and found["images"]["a"]["psnr"] == "inf"
    assert found["metrics"]["psnr"]["interval"] == ["inf", "inf"]
    assert found["metrics"]["l1"]["value"] == 0
    assert found["metrics"]["ssim"]["value"] == pytest.approx(1)
    assert found["metrics"]["edges"]["value"] == pytest.approx(1)


def test_the_same_call_gives_the_same_file_and_the_seed_changes_only_intervals(folders):
    words = "--real {}/real --fake {}/fake --paired --metrics psnr,ssim"
    _, found = run(folders, words)
    assert run(folders, words)[1] == found
    _, other = run(folders, words + " --seed 5 --resamples 4")
    assert other["images"] == found["images"]
    assert other["metrics"]["psnr"]["value"] == found["metrics"]["psnr"]["value"]
    assert other["metrics"]["psnr"]["interval"] != found["metrics"]["psnr"]["interval"]


def test_a_single_image_and_no_resamples_give_no_interval(folders):
    words = "--real {}/real/sub --fake {}/fake/sub --paired --metrics l1"
    assert run(folders, words)[1]["metrics"]["l1"]["interval"] is None
    words = "--real {}/real --fake {}/fake --paired --metrics l1 --resamples 0"
    assert run(folders, words)[1]["metrics"]["l1"]["interval"] is None


def test_metrics_that_can_not_be_computed_are_skipped_with_a_reason(folders, capsys):
    code, found = run(folders, "--real {}/real --fake {}/fake --paired --metrics fid,kid,lpips,ms_ssim,l1")
    assert code == 1
    assert list(found["metrics"]) == ["l1"]
    assert set(found["skipped"]) == {"fid", "kid", "lpips", "ms_ssim"}
    assert "https://github.com/toshas/torch-fidelity" in found["skipped"]["fid"]
    assert str(folders / "cache/checkpoints") in found["skipped"]["lpips"]
    assert "176x176" in found["skipped"]["ms_ssim"]
    assert all("ms_ssim" not in each for each in found["images"].values())
    assert "skipped" in capsys.readouterr().out


def test_a_missing_package_skips_its_metrics(folders, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchmetrics.functional.image", None)
    code, found = run(folders, "--real {}/real --fake {}/fake --paired --metrics ssim,l1")
    assert code == 1 and "pip install torchmetrics" in found["skipped"]["ssim"]


def test_edges_are_compared_with_the_inputs(folders):
    for name, level in (("a", 90), ("sub/b", 90), ("c", 90)):
        paint(folders / f"input/{name}.png", level, seed=1)
    paint(folders / "target/x.png", 4)
    _, found = run(folders, "--real {}/target --fake {}/fake --input {}/input --metrics edges")
    assert found["metrics"]["edges"]["value"] > 0.9


def test_label_images_are_scored(folders):
    for name, true, predicted in (("a", [[0, 0, 1, 255]], [[0, 1, 1, 0]]), ("b", [[2, 2, 2, 2]], [[2, 2, 2, 2]])):
        for folder, labels in (("labels", true), ("predicted", predicted)):
            (folders / folder).mkdir(exist_ok=True)
            Image.fromarray(np.array(labels, np.uint8)).save(folders / folder / f"{name}.png")
    words = "--real {}/labels --fake {}/predicted --paired --metrics pixel_accuracy,class_accuracy,mean_iou"
    _, found = run(folders, words)
    assert found["metrics"]["pixel_accuracy"]["value"] == pytest.approx(6 / 7)
    assert found["metrics"]["class_accuracy"]["value"] == pytest.approx((1 / 2 + 1 + 1) / 3)
    assert found["metrics"]["mean_iou"]["value"] == pytest.approx((1 / 2 + 1 / 2 + 1) / 3)
    assert found["images"]["a"]["pixel_accuracy"] == pytest.approx(2 / 3)
    _, found = run(folders, "--real {}/labels --fake {}/predicted --paired --metrics mean_iou --ignore_label 2")
    assert found["images"]["b"]["mean_iou"] == "nan"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--real {}/nowhere --fake {}/fake --metrics l1 --paired", "--real"),
        ("--real {}/real --fake {}/empty --metrics l1 --paired", "no images"),
        ("--real {}/real --fake {}/fake --metrics pnsr --paired", "did you mean 'psnr'"),
        ("--real {}/real --fake {}/fake --metrics , --paired", "--metrics"),
        ("--real {}/real --fake {}/fake --metrics l1", "--paired"),
        ("--real {}/real --fake {}/fake --metrics edges", "--input"),
        ("--real {}/real --fake {}/fake --metrics judge", "--judge"),
        ("--real {}/real --fake {}/fake --metrics judge --judge {}/nowhere.pth", "nowhere.pth"),
        ("--real {}/real --fake {}/fake --metrics fid --metric_weights {}/nowhere", "--metric_weights"),
        ("--real {}/real --fake {}/fake --metrics mean_iou --paired", "class index"),
        ("--real {}/real --fake {}/fake --metrics l1 --paired --resamples -1", "--resamples"),
        ("--fake {}/fake --metrics l1 --paired", "--real"),
    ],
)
def test_bad_input_gives_one_line_and_no_file(folders, words, message):
    with pytest.raises(InputError) as caught:
        run(folders, words)
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert not (folders / "out.json").exists()


@pytest.mark.parametrize("words", ["real", "--metrics kid real", "real fake --metrics kid --output scores.json"])
def test_folders_without_flags_are_told_which_flags_name_them(folders, monkeypatch, words):
    monkeypatch.chdir(folders)
    with pytest.raises(InputError, match="^'real': .*; name folders of images with --real and --fake, or .* --run$"):
        evaluate.main(words.split())


def test_an_output_that_cannot_be_written_is_an_error_before_scoring(folders, monkeypatch):
    monkeypatch.chdir(folders)
    (folders / "file").write_text("no folder")
    monkeypatch.setattr(evaluate.evaluation, "evaluate", lambda *a: pytest.fail("scored"))
    with pytest.raises(InputError, match="^--output fake: this is a folder; give the name of a file"):
        evaluate.main("--real real --fake fake --metrics kid --output fake".split())
    with pytest.raises(InputError, match=r"^--output .*/file: this is a file; give a folder"):
        evaluate.main("--real real --fake fake --metrics kid --output file/scores.json".split())


def test_errors_name_pairs_that_do_not_match(folders):
    for index in range(5):
        paint(folders / f"fake/more{index}.png", 0)
    (folders / "fake/a.bmp").unlink()
    with pytest.raises(InputError) as caught:
        run(folders, "--real {}/real --fake {}/fake --paired --metrics l1")
    assert "real lacks more0, more1, more2 and 2 more;" in str(caught.value)
    assert str(caught.value).endswith("fake lacks a")


def test_unequal_sizes_and_two_files_of_one_name_are_errors(folders):
    paint(folders / "fake/c.bmp", 0, size=(8, 8))
    with pytest.raises(InputError, match=r"pair 'c'.*8x8.*16x12"):
        run(folders, "--real {}/real --fake {}/fake --paired --metrics l1")
    paint(folders / "fake/c.png", 0)
    with pytest.raises(InputError, match="two images are called 'c'"):
        run(folders, "--real {}/real --fake {}/fake --paired --metrics l1")


def test_the_program_exits_with_2_for_bad_input_and_has_help(folders):
    program = [sys.executable, str(Path(evaluate.__file__))]
    words = ["--real", str(folders), "--fake", "nowhere", "--metrics", "l1", "--paired", "--output", "x.json"]
    answer = subprocess.run([*program, *words], capture_output=True, text=True, timeout=60, cwd=folders)
    assert answer.returncode == 2 and answer.stderr.count("\n") == 1
    assert not (folders / "x.json").exists()
    answer = subprocess.run([*program, "--help"], capture_output=True, text=True, timeout=60)
    assert answer.returncode == 0 and all(name in answer.stdout.replace("\n", "") for name in NAMES)


@pytest.fixture
def domains(tmp_path):
    """Dark and bright noise: two domains that are easy to tell apart."""
    for index in range(15):
        paint(tmp_path / f"A/{index}.png", 70, (32, 32), seed=index)
        paint(tmp_path / f"B/{index}.png", 180, (32, 32), seed=index)
    return tmp_path


def train(folder, output, *words):
    places = ["--domain_a", str(folder / "A"), "--domain_b", str(folder / "B"), "--output", str(folder / output)]
    train_judge.main([*places, "--steps", "40", "--image_size", "32", *words])
    return folder / output


def test_a_judge_distinguishes_the_domains_and_is_deterministic(domains, capsys):
    judge = train(domains, "judge.pth")
    assert "accuracy 1.000 on 3 + 3 images" in capsys.readouterr().out
    state = torch.load(judge, weights_only=True)["state"]
    again = torch.load(train(domains, "again.pth"), weights_only=True)["state"]
    other = torch.load(train(domains, "other.pth", "--seed", "1"), weights_only=True)["state"]
    assert all(torch.equal(state[key], again[key]) for key in state)
    assert not all(torch.equal(state[key], other[key]) for key in state)

    words = f"--real {{}}/B --metrics judge,judge_kid --judge {judge}"
    good = run(domains, words + " --fake {}/B")[1]
    bad = run(domains, words + " --fake {}/A --batch_size 4")[1]
    assert (good["metrics"]["judge"]["value"], bad["metrics"]["judge"]["value"]) == (1, 0)
    assert bad["images"]["3"]["judge"] == 0
    assert good["metrics"]["judge_kid"]["value"] < bad["metrics"]["judge_kid"]["value"]
    record = good["metrics"]["judge"]["provenance"]
    assert record["feature_network"]["sha256"] == digest(judge)
    assert record["trained"]["held_out_accuracy"] == 1 and record["trained"]["seed"] == 0


def test_a_judge_needs_images_and_a_file_of_train_judge(domains):
    with pytest.raises(InputError, match=r"--domain_a.*at least 5"):
        (domains / "few").mkdir()
        train_judge.main(["--domain_a", str(domains / "few"), "--domain_b", "x", "--output", str(domains / "j.pth")])
    torch.save({"weight": torch.zeros(1)}, domains / "other.pth")
    with pytest.raises(InputError, match="not a file of scripts/train_judge"):
        run(domains, "--real {}/B --fake {}/A --metrics judge --judge {}/other.pth")
