"""datasets/scale_images.py: the model receives the same pixels as without it."""

import random
from argparse import Namespace

import numpy as np
import pytest
import torch
from PIL import Image

from data import find_dataset_using_name
from datasets import scale_images
from util.errors import InputError

OPTIONS = {
    "phase": "train",
    "isTrain": True,
    "direction": "AtoB",
    "input_nc": 3,
    "output_nc": 3,
    "preprocess": "resize_and_crop",
    "load_size": 40,
    "crop_size": 32,
    "no_flip": False,
    "max_dataset_size": float("inf"),
    "serial_batches": False,
    "n_epochs": 1,
}


def photos(folder, count, seed=0, width=50):
    folder.mkdir(parents=True)
    generator = np.random.default_rng(seed)
    for number in range(count):
        pixels = generator.integers(0, 256, (37 + number, width + number, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.jpg")


def items(root, mode):
    dataset = find_dataset_using_name(mode)(Namespace(dataroot=str(root), dataset_mode=mode, **OPTIONS))
    random.seed(1)
    return [dataset[number] for number in range(len(dataset))]


@pytest.mark.parametrize("mode, folders", [("unaligned", ["trainA", "trainB"]), ("aligned", ["train"])])
def test_the_model_receives_the_same_pixels(tmp_path, mode, folders):
    for seed, folder in enumerate(folders):
        photos(tmp_path / "photos" / folder, 4, seed)
        words = ["--images", tmp_path / "photos" / folder, "--to", tmp_path / "scaled" / folder, "--load_size", 40]
        words += ["--side_by_side"] if mode == "aligned" else []
        scale_images.main([*map(str, words), "--processes", "2" if seed else "1"])
    for plain, scaled in zip(items(tmp_path / "photos", mode), items(tmp_path / "scaled", mode), strict=True):
        assert scaled["A_paths"].endswith(".ppm")
        assert all(torch.equal(plain[side], scaled[side]) for side in "AB")


def test_unreadable_images_are_listed_and_the_others_are_scaled(tmp_path, capsys):
    photos(tmp_path / "in", 2)
    (tmp_path / "in" / "bad.jpg").write_text("hello")
    scale_images.main(["--images", str(tmp_path / "in"), "--to", str(tmp_path / "out"), "--load_size", "40"])
    printed = capsys.readouterr().out
    assert "1 not scaled" in printed and "bad.jpg: not an image" in printed
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["0.ppm", "1.ppm"]


def test_wrong_folders_and_clashes_are_refused(tmp_path):
    photos(tmp_path / "in", 1)
    with pytest.raises(InputError, match="two different folders"):
        scale_images.main(["--images", str(tmp_path / "in"), "--to", f"{tmp_path}/in/"])
    with pytest.raises(InputError, match="there is no such folder"):
        scale_images.main(["--images", str(tmp_path / "gone"), "--to", str(tmp_path / "out")])
    Image.new("RGB", (5, 5)).save(tmp_path / "in" / "0.png")
    with pytest.raises(InputError, match=r"0\.jpg and 0\.png would both become 0\.ppm"):
        scale_images.main(["--images", str(tmp_path / "in"), "--to", str(tmp_path / "out")])


def test_an_image_of_one_column_is_not_a_pair(tmp_path):
    photos(tmp_path / "in", 1, width=1)
    with pytest.raises(InputError, match="none of the 1 images"):
        scale_images.main(["--images", str(tmp_path / "in"), "--to", str(tmp_path / "out"), "--side_by_side"])


def test_a_dry_run_writes_nothing(tmp_path, capsys):
    photos(tmp_path / "in", 2)
    scale_images.main(["--images", str(tmp_path / "in"), "--to", str(tmp_path / "out"), "--dry_run"])
    assert "would write 2 images, 490,776 bytes" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()
