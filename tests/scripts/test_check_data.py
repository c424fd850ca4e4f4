"""scripts/check_data.py: every kind of bad image is found and named, with the documented exit codes."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scripts import check_data
from util.errors import InputError

ROOT = Path(__file__).resolve().parent.parent.parent


def picture(path, width=40, height=40, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def folder(tmp_path):
    for side, offset in (("trainA", 0), ("trainB", 10)):
        for i in range(3):
            picture(tmp_path / side / f"{i}.png", seed=offset + i)
    return tmp_path


def findings(folder, capsys, *words, code):
    crop = () if "--crop_size" in words else ("--load_size", "36", "--crop_size", "32")
    flags = ("--dataroot", str(folder), "--device", "cpu", *crop, "--json", *words)
    capsys.readouterr()
    assert check_data.main(list(flags)) == code
    return json.loads(capsys.readouterr().out)


def names(found, problem):
    return [Path(case["path"]).name for case in found["problems"][problem]]


def test_a_good_folder_has_no_problems(folder, capsys):
    found = findings(folder, capsys, code=0)
    assert found["images"] == 6
    assert found["sizes"] == {"40x40": 6}
    assert not any(found["problems"].values())


def test_every_kind_of_bad_image_is_named(folder, capsys, monkeypatch):
    (folder / "trainA" / "text.png").write_text("hello")
    whole = (folder / "trainA" / "0.png").read_bytes()
    (folder / "trainA" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "trainA" / "dangling.png").symlink_to(folder / "nothing.png")
    picture(folder / "trainA" / "narrow.png", width=20, seed=50)
    Image.new("RGB", (40, 40), "white").save(folder / "trainB" / "white.png")
    Image.open(folder / "trainA" / "1.png").save(folder / "trainB" / "again.bmp")  # other bytes, same pixels
    picture(folder / "trainB" / "large.png", width=80, height=80, seed=51)
    picture(folder / "trainB" / "bomb.png", width=160, height=80, seed=52)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 6000)
    with pytest.warns(Image.DecompressionBombWarning):
        found = findings(folder, capsys, code=1)
    assert names(found, "unreadable") == ["cut.png", "dangling.png", "text.png"]
    assert names(found, "too_small") == ["narrow.png"]
    assert names(found, "constant") == ["white.png"]
    assert names(found, "duplicate") == ["again.bmp"]
    assert names(found, "oversized") == ["bomb.png", "large.png"]
    assert str(folder / "trainA" / "1.png") in found["problems"]["duplicate"][0]["what"]


def test_pairs_are_measured_by_their_halves(tmp_path, capsys):
    for i, width in enumerate((80, 50)):
        picture(tmp_path / "train" / f"{i}.png", width=width, seed=i)
    found = findings(tmp_path, capsys, "--model", "pix2pix", "--netG", "resnet_4blocks", code=1)
    assert names(found, "too_small") == ["1.png"]


def test_without_a_crop_no_image_is_too_small(folder, capsys):
    words = ("--preprocess", "none", "--crop_size", "256")
    assert findings(folder, capsys, *words, code=0)["images"] == 6


def test_a_run_of_the_default_name_is_not_read(folder, capsys, monkeypatch):
    (folder / "checkpoints" / "experiment_name").mkdir(parents=True)
    (folder / "checkpoints" / "experiment_name" / "latest_net_G.pth").write_bytes(b"")
    monkeypatch.chdir(folder)
    findings(folder, capsys, code=0)


def test_the_error_for_another_layout_states_the_correction(folder, tmp_path):
    (tmp_path / "deeper").mkdir()
    with pytest.raises(InputError, match="Give --dataroot|Put the images"):
        check_data.main(["--dataroot", str(folder), "--dataset_mode", "colorization", "--device", "cpu"])


def test_the_report_is_a_list_with_a_sum(folder):
    (folder / "trainA" / "text.png").write_text("hello")
    words = ["--dataroot", folder, "--device", "cpu", "--load_size", "36", "--crop_size", "32"]
    command = [sys.executable, ROOT / "scripts" / "check_data.py", *words]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0].startswith("unreadable: 1 ")
    assert "text.png: not an image" in lines[1]
    assert lines[-1] == "7 images checked, all of 40x40: 1 problems"
    done = subprocess.run([*map(str, command[:2]), "--dataroot", "nowhere"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2
    assert "nowhere" in done.stderr
