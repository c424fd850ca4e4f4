"""Pairs from two folders with equal names and from tables; label maps."""

import numpy as np
import pytest
import torch
from data_help import make_opt, picture, save

from data.aligned_dataset import AlignedDataset
from data.unaligned_dataset import UnalignedDataset
from util.errors import InputError


def opt_for(root, **fields):
    whole = {"dataset_mode": "aligned", "preprocess": "none", "no_flip": True}
    return make_opt(root, **{**whole, "pairs": None, "folders_A": [], "folders_B": [], **fields})


def two_folders(root, phase="train"):
    for number in range(3):
        save(root / f"{phase}A" / "sub" / f"{number}.png", picture(k=number))
        save(root / f"{phase}B" / "sub" / f"{number}.bmp", picture(k=50 + number))
    return root


def test_files_of_two_folders_are_paired_by_name_without_extension(tmp_path):
    dataset = AlignedDataset(opt_for(two_folders(tmp_path)))
    assert len(dataset) == 3 and len(dataset.files()) == 6
    item = dataset[1]
    assert item["A_paths"].endswith("trainA/sub/1.png") and item["B_paths"].endswith("trainB/sub/1.bmp")
    for side, k in (("A", 1), ("B", 51)):
        wanted = torch.from_numpy(np.array(picture(k=k))).permute(2, 0, 1) / 255 * 2 - 1
        assert torch.allclose(item[side], wanted, atol=1e-6)


def test_both_images_of_a_pair_get_the_same_crop_and_flip(tmp_path):
    for side in "AB":
        save(tmp_path / f"train{side}" / "1.png", picture(40, 30))
    dataset = AlignedDataset(opt_for(tmp_path, preprocess="crop", crop_size=16, no_flip=False))
    for _ in range(10):
        item = dataset[0]
        assert torch.equal(item["A"], item["B"])


def test_a_folder_with_pairs_side_by_side_takes_precedence(tmp_path):
    save(two_folders(tmp_path) / "train" / "x.png", picture(48, 24))
    assert len(AlignedDataset(opt_for(tmp_path))) == 1


def test_errors_name_images_without_a_partner(tmp_path):
    two_folders(tmp_path)
    (tmp_path / "trainB" / "sub" / "1.bmp").unlink()
    save(tmp_path / "trainB" / "9.png")
    with pytest.raises(InputError, match=r"trainA has sub/1; .*trainB has 9"):
        AlignedDataset(opt_for(tmp_path))


def test_two_images_of_one_name_are_refused(tmp_path):
    save(two_folders(tmp_path) / "trainA" / "sub" / "1.bmp")
    with pytest.raises(InputError, match=r"1\.bmp, .*1\.png: two images have the same name"):
        AlignedDataset(opt_for(tmp_path))


def test_a_test_needs_the_folder_of_the_source_only(tmp_path, capsys):
    two_folders(tmp_path, "test")
    for path in (tmp_path / "testB" / "sub").iterdir():
        path.unlink()
    (tmp_path / "testB" / "sub").rmdir()
    (tmp_path / "testB").rmdir()
    dataset = AlignedDataset(opt_for(tmp_path, phase="test", isTrain=False))
    assert set(dataset[0]) == {"A", "A_paths"} and "without their truths" in capsys.readouterr().out
    with pytest.raises(InputError, match=r"there is no such folder"):
        AlignedDataset(opt_for(tmp_path, phase="test"))


def test_images_of_a_pair_with_different_sizes_are_refused(tmp_path):
    save(tmp_path / "trainA" / "1.png", picture(40, 30))
    save(tmp_path / "trainB" / "1.png", picture(20, 30))
    item = AlignedDataset(opt_for(tmp_path, preprocess="resize_and_crop"))[0]
    assert item["A"].shape == item["B"].shape == (3, 16, 16)
    with pytest.raises(
        InputError, match=r"trainA/1.png has 40x30 and .*trainB/1.png has 20x30 pixels: --preprocess none"
    ):
        AlignedDataset(opt_for(tmp_path))[0]


def table(tmp_path, text, **fields):
    for name in ("a/1", "b/1", "a/2", "b/2"):
        save(tmp_path / f"{name}.png")
    (tmp_path / "pairs.csv").write_text(text)
    return AlignedDataset(opt_for(tmp_path, pairs=str(tmp_path / "pairs.csv"), **fields))


@pytest.mark.parametrize(
    "text",
    [
        "a/1.png,b/1.png\na/2.png,b/2.png\n",
        "A,B\na/1.png,b/1.png\na/2.png, b/2.png\n",
        "\ufeffname,B,A\nx,b/1.png,a/1.png\n\ny,b/2.png,a/2.png\n",
        "A,B,phase\na/1.png,b/1.png,train\na/2.png,b/2.png,train\na/2.png,b/1.png,test\n",
    ],
)
def test_pairs_are_read_from_a_table(tmp_path, text):
    dataset = table(tmp_path, text)
    assert len(dataset) == 2
    item = dataset[1]
    assert item["A_paths"] == str(tmp_path / "a/2.png") and item["B_paths"] == str(tmp_path / "b/2.png")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no pairs in it for --phase train"),
        ("A,B\na/1.png\n", "row 2: expected a path of A and a path of B"),
        ("A,B\na/1.png,b/7.png\n", "there is no .*b/7.png"),
        ("A,B,phase\na/1.png,b/1.png,test\n", "no pairs in it for --phase train"),
    ],
)
def test_a_table_with_a_mistake_is_refused(tmp_path, text, words):
    with pytest.raises(InputError, match=rf"--pairs .*pairs\.csv.*{words}"):
        table(tmp_path, text)


def test_the_error_names_a_missing_table(tmp_path):
    with pytest.raises(InputError, match="nowhere.csv: No such file"):
        AlignedDataset(opt_for(tmp_path, pairs=str(tmp_path / "nowhere.csv")))


def labels(path, values=(0, 100, 200)):
    from PIL import Image

    pixels = np.random.default_rng(0).choice(np.array(values, np.uint8), (24, 24))
    return save(path, Image.fromarray(pixels).convert("RGB"))


@pytest.mark.parametrize(("label_maps", "exact"), [("none", ""), ("A", "A"), ("B", "B"), ("both", "AB")])
def test_label_maps_are_resized_without_new_values(tmp_path, label_maps, exact):
    for side in "AB":
        labels(tmp_path / f"train{side}" / "1.png")
    known = torch.tensor([0, 100, 200]) / 255 * 2 - 1
    for cls, mode in ((AlignedDataset, "aligned"), (UnalignedDataset, "unaligned")):
        opt = opt_for(tmp_path, label_maps=label_maps, preprocess="resize", load_size=37, dataset_mode=mode)
        item = cls(opt)[0]
        for side in "AB":
            distance = (item[side][..., None] - known).abs().min(-1).values.max()
            assert (distance < 1e-6) == (side in exact)
