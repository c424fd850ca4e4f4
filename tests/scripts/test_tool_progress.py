"""Every tool that works for long shows how far it is: in a job's log a line now and then."""

import json
import tarfile

import numpy as np
import pytest
from PIL import Image

from datasets import combine_A_and_B, make_shapes, split_dataset
from datasets.unpack import unpack
from scripts import check_data, evaluate, measure, train_judge
from util.show import bar


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Folders trainA and trainB of six images, and no pause before the first line of progress."""
    rng = np.random.default_rng(0)
    for side in "AB":
        for number in range(6):
            path = tmp_path / f"train{side}" / f"{number}.png"
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (20, 20, 3), dtype=np.uint8)).save(path)
    monkeypatch.setattr(bar, "FIRST_LINE", 0.0)
    return tmp_path


def run(tool, photos):
    A, B, to = (str(photos / name) for name in ("trainA", "trainB", "made"))
    if tool == "check_data":
        words = ["--dataroot", str(photos), "--load_size", "18", "--crop_size", "16", "--device", "cpu"]
        check_data.main(words)
    elif tool == "measure":
        for path in (photos / "trainA").iterdir():
            path.rename(path.with_name(f"{path.stem}_fake_B.png"))
        measure.main(["--results", A, "--truth", B, "--mean", B])
    elif tool == "evaluate":
        evaluate.main(["--real", B, "--fake", A, "--paired", "--metrics", "l1", "--output", to + ".json"])
    elif tool == "train_judge":
        train_judge.domain("--domain_a", A, 16)
    elif tool == "split":
        split_dataset.main(["--A", A, "--B", B, "--to", to, "--train", "0.5", "--val", "0", "--test", "0.5"])
    elif tool == "combine":
        combine_A_and_B.main(["--fold_A", A, "--fold_B", B, "--fold_AB", to, "--no_multiprocessing"])
    elif tool == "make_shapes":
        make_shapes.main(["--to", to, "--size", "16", "--train", "1", "--test", "1"])
    else:
        with tarfile.open(photos / "photos.tar", "w") as archive:
            archive.add(A, "trainA")
        unpack(photos / "photos.tar", to)


@pytest.mark.parametrize(
    ("tool", "lines"),
    [
        ("check_data", ["progress: 1 of 12 images (8 %)"]),
        ("measure", ["fake_B: 1 of 6 images", "mean of the training images: 1 of 6 images"]),
        ("evaluate", ["progress: 1 of 6 images"]),
        ("train_judge", ["trainA: 1 of 6 images"]),
        ("split", ["copy: 1 of 12 images"]),
        ("combine", ["1 of 6 images"]),
        ("make_shapes", ["unpaired: 1 files"]),
        ("unpack", ["unpacking photos.tar: 1 files"]),
    ],
)
def test_progress_is_printed_in_lines_to_a_log(tool, lines, photos, capsys):
    run(tool, photos)
    printed = capsys.readouterr().out
    assert all(line in printed for line in lines), printed


def test_progress_is_no_part_of_the_findings_as_json(photos, capsys):
    words = ["--dataroot", str(photos), "--load_size", "18", "--crop_size", "16", "--device", "cpu", "--json"]
    check_data.main(words)
    printed = capsys.readouterr()
    assert json.loads(printed.out)["images"] == 12 and "progress: 1 of 12 images" in printed.err
