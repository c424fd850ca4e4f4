"""scripts/measure.py: values, pairing of results with true images, and errors."""

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scripts import measure
from util.errors import InputError
from util.metrics.pixels import l1, mean_image, psnr, resized, values


def paint(path, *levels, size=(4, 4)):
    """An image of equally wide vertical bars, each of one gray level."""
    path.parent.mkdir(parents=True, exist_ok=True)
    width, height = size
    row = np.repeat(np.array(levels, np.uint8), width // len(levels))
    Image.fromarray(np.broadcast_to(row[None, :, None], (height, width, 3)).copy()).save(path)


def run(tmp_path, *words):
    """The numbers of one call, as the JSON file has them."""
    measure.main([*map(str, words), "--json", str(tmp_path / "out.json")])
    return json.loads((tmp_path / "out.json").read_text())


def test_pixel_values_are_scaled_to_minus_1_to_1():
    assert values(Image.new("RGB", (2, 2), (0, 255, 51)))[0, 0].tolist() == pytest.approx([-1, 1, -0.6])


def test_l1_and_psnr_equal_values_computed_by_hand():
    black, gray = -np.ones((2, 2, 3)), np.full((2, 2, 3), -0.5)
    assert l1(black, gray) == 0.5
    assert psnr(black, gray) == pytest.approx(10 * math.log10(4 / 0.25))
    assert psnr(gray, gray) == math.inf


def test_the_mean_image_is_computed_at_the_result_size():
    images = [Image.new("RGB", (4, 4), "black"), Image.new("RGB", (8, 8), "white")]
    assert mean_image(images, (2, 3)).tolist() == np.zeros((3, 2, 3)).tolist()
    assert resized(images[0], (4, 4)) is images[0]


def test_results_are_compared_with_both_baselines(tmp_path):
    for name, answer in (("a", 51), ("b", 0)):
        paint(tmp_path / f"res/images/{name}_fake_B.png", answer)
        paint(tmp_path / f"res/images/{name}_real_A.png", 7)
        paint(tmp_path / f"testA/{name}.png", 255)
        paint(tmp_path / f"testB/{name}.png", 0)
    paint(tmp_path / "trainB/x.png", 0)
    paint(tmp_path / "trainB/y.png", 102)
    places = ("--results", tmp_path / "res", "--truth", tmp_path / "testB")
    found = run(tmp_path, *places, "--input", tmp_path / "testA", "--mean", tmp_path / "trainB")
    assert found["pairs"] == 2
    assert found["images"]["a"]["fake_B"]["l1"] == pytest.approx(0.4)
    assert found["images"]["b"]["fake_B"] == {"l1": 0, "psnr": "inf"}
    assert found["mean"]["fake_B"]["l1"] == pytest.approx(0.2)
    assert found["mean"]["no translation"] == {"l1": 2, "psnr": pytest.approx(0)}
    assert found["mean"]["mean of training"]["l1"] == pytest.approx(0.4)
    assert "no translation" not in run(tmp_path, *places)["mean"]


@pytest.mark.parametrize("results", ["res", "res/images"])
@pytest.mark.parametrize("file", ["{}_fake_A.png", "fake_A/{}.png", "testB/{}_fake_A.png", "fake_A/testB/{}.png"])
def test_results_are_found_in_both_layouts_and_in_sub_folders(tmp_path, results, file):
    paint(tmp_path / "res/images" / file.format("one_two"), 0)
    paint(tmp_path / "truth/one_two.jpg", 0)
    found = run(tmp_path, "--results", tmp_path / results, "--truth", tmp_path / "truth", "--label", "fake_A")
    assert found["pairs"] == 1
    assert found["mean"]["fake_A"]["l1"] == pytest.approx(0, abs=0.02)


def test_equal_names_in_sub_folders_are_distinguished(tmp_path):
    for folder, level in (("x", 0), ("y", 255)):
        paint(tmp_path / f"res/{folder}/1_fake_B.png", level)
        paint(tmp_path / f"truth/{folder}/1.png", level)
    paint(tmp_path / "res/z/1_fake_B.png", 0)
    found = run(tmp_path, "--results", tmp_path / "res", "--truth", tmp_path / "truth")
    assert found["mean"]["fake_B"]["l1"] == 0
    assert found["without_truth"] == ["z/1"]


def test_images_without_a_partner_are_counted_and_named(tmp_path, capsys):
    for name in ("a", "b", "c"):
        paint(tmp_path / f"res/{name}_fake_B.png", 0)
    for name in ("a", "x", "y"):
        paint(tmp_path / f"truth/{name}.png", 0)
    found = run(tmp_path, "--results", tmp_path / "res", "--truth", tmp_path / "truth")
    assert (found["pairs"], found["without_truth"], found["without_answer"]) == (1, ["b", "c"], ["x", "y"])
    said = capsys.readouterr().out
    assert "2 results without a true image (b, c)" in said
    assert "2 true images without a result (x, y)" in said


def test_true_images_of_another_size_are_resized_and_counted(tmp_path, capsys):
    paint(tmp_path / "res/a_fake_B.png", 0, 255, size=(4, 4))
    paint(tmp_path / "truth/a.png", 0, 255, size=(16, 16))
    found = run(tmp_path, "--results", tmp_path / "res", "--truth", tmp_path / "truth")
    assert found["resized"] == 1
    assert found["mean"]["fake_B"]["l1"] < 0.1
    assert "resized" in capsys.readouterr().out


@pytest.mark.parametrize(("direction", "error", "mean"), [("AtoB", 0.0, 0.8), ("BtoA", 2.0, 1.6)])
def test_aligned_images_are_split_by_direction(tmp_path, direction, error, mean):
    paint(tmp_path / "res/a_fake_B.png", 0)
    paint(tmp_path / "test/a.png", 255, 0, size=(8, 4))
    paint(tmp_path / "train/t.png", 51, 102, size=(8, 4))
    words = ("--results", tmp_path / "res", "--aligned", tmp_path / "test", "--aligned_mean", tmp_path / "train")
    found = run(tmp_path, *words, "--direction", direction)["mean"]
    assert found["fake_B"]["l1"] == error
    assert found["no translation"]["l1"] == 2
    assert found["mean of training"]["l1"] == pytest.approx(mean)


@pytest.fixture
def scene(tmp_path):
    paint(tmp_path / "res/a_fake_B.png", 0)
    paint(tmp_path / "truth/a.png", 0)
    paint(tmp_path / "other/b.png", 0)
    (tmp_path / "empty").mkdir()
    return tmp_path


def test_truths_has_a_folder_of_true_images_for_each_label(tmp_path, capsys):
    for stem, level in (("a", 0), ("b", 255)):
        paint(tmp_path / f"in/{stem}.png", 255)
        for label in ("Male", "Young"):
            paint(tmp_path / f"truth/{label}/{stem}.png", 0)
        paint(tmp_path / f"res/{stem}_Male.png", level)
        paint(tmp_path / f"res/{stem}_Young.png", 0)
    found = run(tmp_path, "--results", tmp_path / "res", "--truths", tmp_path / "truth", "--input", tmp_path / "in")
    assert [found[label]["mean"][label]["l1"] for label in ("Male", "Young")] == [1.0, 0.0]
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[:3] == ["Male", "2", "1.0000"] and lines[1].split()[-1] == "2.0000"
    assert lines[2].split()[:2] == ["Young", "2"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--results {}/nowhere --truth {}/truth", "nowhere"),
        ("--results {}/res --truth {}/nowhere", "nowhere"),
        ("--results {}/res --truth {}/empty", "no images"),
        ("--results {}/empty --truth {}/truth", "none at all"),
        ("--results {}/res --truth {}/truth --label fake_A", "a_fake_B"),
        ("--results {}/res --truth {}/other", "no image has the name of a result"),
        ("--results {}/res --truth {}/truth --input {}/other", "no input called 'a'"),
        ("--results {}/res --truth {}/truth --mean {}/empty", "no images"),
        ("--results {}/res", "--truth"),
        ("--results {}/res --truths {}/res", "no folders"),
        ("--results {}/res --truths {}/truth --truth {}/truth", "one of them"),
        ("--results {}/res --truths {}/truth --mean {}/truth", "--mean"),
        ("--results {}/res --truth {}/truth --aligned {}/truth", "one of them"),
        ("--results {}/res --aligned {}/truth --input {}/truth", "--input"),
        ("--results {}/res --truth {}/truth --direction BA", "BA"),
        ("--truth {}/truth", "--results"),
        ("--results {}/res --thruth {}/truth", "--truth"),
    ],
)
def test_bad_input_gives_one_line(scene, words, said):
    with pytest.raises(InputError) as caught:
        measure.main(words.replace("{}", str(scene)).split())
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_program_exits_with_2(tmp_path):
    command = [sys.executable, str(Path(measure.__file__)), "--results", str(tmp_path), "--truth", str(tmp_path)]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert answer.returncode == 2
    assert answer.stderr.count("\n") == 1
