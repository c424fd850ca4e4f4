import argparse
import random
import sys

import numpy as np
import pytest
import torch
from data_help import make_opt, picture, save, save_tree
from PIL import Image

from data import find_dataset_using_name, get_option_setter
from data.base_dataset import get_transform
from util.errors import InputError


def make(mode, root, **fields):
    return find_dataset_using_name(mode)(make_opt(root, dataset_mode=mode, **fields))


def refusal(mode, root, **fields):
    with pytest.raises(InputError) as caught:
        make(mode, root, **fields)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def parsed(mode, is_train, words, **defaults):
    parser = argparse.ArgumentParser()
    parser.add_argument("--max_dataset_size", type=int, default=1000)
    for name in ("input_nc", "output_nc", "direction"):
        parser.add_argument(f"--{name}")
    parser.set_defaults(**defaults)
    return get_option_setter(mode)(parser, is_train).parse_args(words)


def number(path):
    return int(path.rsplit("/", 1)[1].split(".")[0])


# unaligned


def test_unaligned_returns_A_in_order_and_a_random_B(tmp_path):
    dataset = make("unaligned", save_tree(tmp_path, trainA=2, trainB=5))
    assert len(dataset) == 5
    random.seed(0)
    items = [dataset[index] for index in range(5) for _ in range(10)]
    assert [number(item["A_paths"]) for item in items[::10]] == [0, 1, 0, 1, 0]
    assert {number(item["B_paths"]) for item in items[:10]} > {0, 1}
    assert items[0]["A"].shape == (3, 16, 16) and items[0]["A"].dtype == torch.float32


def test_unaligned_pairs_by_index_with_serial_batches(tmp_path):
    dataset = make("unaligned", save_tree(tmp_path, trainA=3, trainB=2), serial_batches=True)
    pairs = [(number(dataset[index]["A_paths"]), number(dataset[index]["B_paths"])) for index in range(3)]
    assert pairs == [(0, 0), (1, 1), (2, 0)]


def test_a_test_reads_each_source_image_once_for_any_size_of_the_other_domain(tmp_path):
    save_tree(tmp_path, testA=2, testB=5, trainA=2, trainB=5)
    assert len(make("unaligned", tmp_path)) == 5
    assert len(make("unaligned", tmp_path, phase="test", isTrain=False)) == 2
    assert len(make("unaligned", tmp_path, phase="test", isTrain=False, direction="BtoA")) == 5


def test_max_dataset_size_limits_each_domain(tmp_path):
    dataset = make("unaligned", save_tree(tmp_path, trainA=3, trainB=2), max_dataset_size=2)
    assert (len(dataset), dataset.A_size, dataset.B_size) == (2, 2, 2)


@pytest.mark.parametrize("direction, channels", [("AtoB", (1, 3)), ("BtoA", (3, 1))])
def test_unaligned_input_channels_are_those_of_the_source(tmp_path, direction, channels):
    dataset = make("unaligned", save_tree(tmp_path, trainA=1, trainB=1), input_nc=1, direction=direction)
    assert (len(dataset[0]["A"]), len(dataset[0]["B"])) == channels


def test_finetune_crop_scales_without_jitter_after_n_epochs(tmp_path):
    root = save_tree(tmp_path, trainA=1, trainB=1)
    dataset = make("unaligned", root, finetune_crop=True, no_flip=True)
    opt = make_opt(root, preprocess="resize", load_size=16, no_flip=True)
    still = get_transform(opt)(picture())
    dataset.current_epoch = 2
    assert not torch.equal(dataset[0]["A"], still)
    dataset.current_epoch = 3
    assert torch.equal(dataset[0]["A"], still)
    for fields in ({"finetune_crop": False}, {"finetune_crop": True, "isTrain": False}):
        other = make("unaligned", root, no_flip=True, **fields)
        other.current_epoch = 3
        assert not torch.equal(other[0]["A"], still)


def test_finetune_crop_is_off_unless_set_by_flag_or_model():
    assert parsed("unaligned", True, []).finetune_crop is False
    assert parsed("unaligned", True, ["--finetune_crop"]).finetune_crop is True
    assert parsed("unaligned", True, [], finetune_crop=True).finetune_crop is True
    assert parsed("unaligned", True, ["--finetune_crop", "no"], finetune_crop=True).finetune_crop is False
    assert not hasattr(parsed("unaligned", False, []), "finetune_crop")


def test_val_is_used_if_there_is_no_test_folder(tmp_path):
    root = save_tree(tmp_path, valA=1, valB=2)
    dataset = make("unaligned", root, phase="test", isTrain=False)
    assert (dataset.A_size, dataset.B_size) == (1, 2)
    assert "valA/0.png" in dataset[0]["A_paths"]
    message = refusal("unaligned", save_tree(tmp_path / "other", trainA=1), phase="test", isTrain=False)
    assert "testA: there is no such folder" in message and "another --phase (train)" in message
    save_tree(tmp_path, testA=1, testB=1)
    assert make("unaligned", root, phase="test", isTrain=False).B_size == 1


@pytest.mark.parametrize("direction, source, other", [("AtoB", "A", "B"), ("BtoA", "B", "A")])
def test_a_test_of_one_domain_prints_what_is_missing(tmp_path, capsys, direction, source, other):
    root = save_tree(tmp_path, **{f"test{source}": 3})
    dataset = make("unaligned", root, phase="test", isTrain=False, direction=direction)
    assert capsys.readouterr().out.count(f"no folder test{other}") == 1
    assert [set(dataset[index]) for index in range(3)] == [{source, f"{source}_paths"}] * 3
    assert [number(dataset[index][f"{source}_paths"]) for index in range(3)] == [0, 1, 2]


def test_training_needs_both_folders_and_a_test_that_of_the_source(tmp_path):
    root = save_tree(tmp_path, trainA=1, testB=1)
    assert "trainB: there is no such folder" in refusal("unaligned", root)
    assert "testA: there is no such folder" in refusal("unaligned", root, phase="test", isTrain=False)


# what is said about missing and empty folders


def test_the_error_says_that_dataroot_is_a_file(tmp_path):
    save(tmp_path / "a.png")
    with pytest.raises(InputError, match="a.png: this is a file"):
        make("single", tmp_path / "a.png")


def test_the_error_for_a_missing_dataroot_suggests_a_similar_folder(tmp_path):
    save_tree(tmp_path / "horse2zebra", trainA=1)
    message = refusal("unaligned", tmp_path / "horse2zebr")
    assert "horse2zebr: there is no such folder; did you mean 'horse2zebra'?" in message
    assert "no such folder" in refusal("unaligned", tmp_path / "not" / "there")


def test_the_error_for_an_empty_folder_states_expected_layout_found_layout_and_correction(tmp_path):
    root = save_tree(tmp_path, trainB=2)
    (root / "trainA").mkdir()
    (root / "trainA" / "notes.txt").touch()
    message = refusal("unaligned", root)
    assert f"{root}/trainA: no images in it (.jpg" in message
    assert "reads <dataroot>/trainA and <dataroot>/trainB" in message
    assert "trainB (2 images)" in message
    assert "nothing in it" in refusal("unaligned", mkdir(tmp_path / "bare"))


def mkdir(path):
    path.mkdir()
    return path


@pytest.mark.parametrize(
    "folders, mend",
    [
        ({"train/A": 1, "train/B": 2}, "Move train/A to trainA and train/B to trainB"),
        ({"inner/trainA": 1, "inner/trainB": 2}, "Give --dataroot {root}/inner"),
        ({"testA": 1, "testB": 1, "valA": 1, "valB": 1}, "another --phase (test, val)"),
        ({"train": 3}, "give --dataset_mode aligned"),
        ({"photos": 3}, "Put or link the images there"),
    ],
)
def test_the_correction_fits_the_layout_that_was_found(tmp_path, folders, mend):
    message = refusal("unaligned", save_tree(tmp_path, **folders))
    assert mend.format(root=tmp_path) in message
    assert all(f"{name} ({count} image" in message for name, count in folders.items())


def test_the_error_names_the_folder_above_if_dataroot_is_too_deep(tmp_path):
    save_tree(tmp_path, trainA=1, trainB=1)
    assert refusal("unaligned", tmp_path / "trainA").endswith(f"Give --dataroot {tmp_path}")


def test_the_error_for_a_plain_folder_suggests_single(tmp_path):
    save(tmp_path / "1.png")
    message = refusal("unaligned", tmp_path, phase="test", isTrain=False)
    assert "directly in it (1 image)" in message and "--dataset_mode single" in message


def test_the_error_of_aligned_states_how_to_join_A_and_B(tmp_path):
    message = refusal("aligned", save_tree(tmp_path, trainA=1))
    assert "each image holds A in its left half" in message and "<phase>A and <phase>B equal names" in message
    assert "name another folder with --phase (test)" in refusal("aligned", save_tree(tmp_path / "t", test=1))
    assert "A in its left half" in refusal("aligned", mkdir(tmp_path / "bare"))


def test_a_large_tree_is_described_in_one_short_line(tmp_path):
    save_tree(tmp_path, **{f"folder{number}": 1 for number in range(30)})
    message = refusal("unaligned", tmp_path)
    assert "and 22 more" in message and len(message) < 900


# aligned


def save_pair(path, A, B):
    return save(path, Image.fromarray(np.concatenate([np.asarray(A), np.asarray(B)], axis=1)))


def test_aligned_splits_in_the_middle_and_shares_crop_and_flip(tmp_path):
    save_pair(tmp_path / "train" / "1.png", picture(40, 40), picture(40, 40))
    dataset = make("aligned", tmp_path, load_size=30, crop_size=16)
    seen = [dataset[0] for _ in range(10)]
    assert all(torch.equal(item["A"], item["B"]) for item in seen)
    assert not all(torch.equal(item["A"], seen[0]["A"]) for item in seen)
    assert seen[0]["A_paths"] == seen[0]["B_paths"] == str(tmp_path / "train" / "1.png")


@pytest.mark.parametrize(
    "word", ["zoom_and_crop", "zoom_and_patch", "scale_shortside_and_crop", "scale_width_and_trim"]
)
def test_both_halves_of_a_pair_get_the_same_random_crop_and_flip(tmp_path, word):
    save_pair(tmp_path / "train" / "1.png", picture(50, 40), picture(50, 40))
    dataset = make("aligned", tmp_path, preprocess=word, load_size=45, crop_size=16)
    assert all(torch.equal(item["A"], item["B"]) for item in (dataset[0] for _ in range(10)))


@pytest.mark.parametrize("direction, channels", [("AtoB", (1, 3)), ("BtoA", (3, 1))])
def test_aligned_channels(tmp_path, direction, channels):
    save_pair(tmp_path / "train" / "1.png", picture(), picture(k=9))
    dataset = make("aligned", tmp_path, input_nc=1, direction=direction)
    assert (len(dataset[0]["A"]), len(dataset[0]["B"])) == channels


def test_the_middle_column_of_an_odd_width_belongs_to_B(tmp_path):
    from data.aligned_dataset import halves

    left, right = halves(picture(41, 20))
    assert (left.size, right.size) == ((20, 20), (21, 20))
    assert np.array_equal(np.asarray(right), np.asarray(picture(41, 20))[:, 20:])
    save(tmp_path / "train" / "1.png", picture(41, 20))
    item = make("aligned", tmp_path)[0]
    assert item["A"].shape == item["B"].shape == (3, 16, 16)


def test_halves_of_different_sizes_are_refused(tmp_path):
    path = save(tmp_path / "train" / "1.png", picture(43, 20))  # halves of 21 and 22 pixels are rounded apart
    with pytest.raises(InputError, match=f"{path}: its width of 43 is odd"):
        make("aligned", tmp_path, preprocess="none")[0]


def test_a_pair_of_one_column_is_refused(tmp_path):
    path = save(tmp_path / "train" / "1.png", picture(1, 20))
    with pytest.raises(InputError, match=f"{path}: 1 pixel wide"):
        make("aligned", tmp_path)[0]


def test_aligned_uses_val_if_there_is_no_test_folder(tmp_path):
    save(tmp_path / "val" / "1.png", picture(48, 24))
    assert len(make("aligned", tmp_path, phase="test", isTrain=False)) == 1


# single, colorization, template


def test_single_reads_all_images_below_dataroot(tmp_path):
    dataset = make("single", save_tree(tmp_path, trainA=1, deep=2), isTrain=False)
    assert len(dataset) == 3
    assert set(dataset[0]) == {"A", "A_paths"}
    assert "no images in it" in refusal("single", mkdir(tmp_path / "bare"))


@pytest.mark.parametrize("direction", ["AtoB", "BtoA"])
def test_single_returns_input_nc_channels(tmp_path, direction):
    root = save_tree(tmp_path, photos=1)
    assert make("single", root, input_nc=1, direction=direction)[0]["A"].shape[0] == 1
    assert make("single", root, output_nc=1, direction=direction)[0]["A"].shape[0] == 3


def test_the_error_names_an_image_that_is_too_small(tmp_path):
    root = save_tree(tmp_path, photos=1)
    with pytest.raises(InputError, match=r"0\.png: an image of 24x24 pixels is too small for --crop_size 99"):
        make("single", root, preprocess="crop", crop_size=99)[0]


def test_colorization_ranges(tmp_path):
    pytest.importorskip("skimage")
    save(tmp_path / "train" / "1.png", Image.fromarray(np.full((16, 16, 3), 255, np.uint8)))
    save(tmp_path / "train" / "2.png", Image.fromarray(np.tile(np.uint8([255, 0, 0]), (16, 16, 1))))
    dataset = make("colorization", tmp_path, input_nc=1, output_nc=2, preprocess="none")
    white, red = dataset[0], dataset[1]
    assert (white["A"].shape, white["B"].shape) == ((1, 16, 16), (2, 16, 16))
    assert white["A"].dtype == white["B"].dtype == torch.float32
    assert white["A"].mean().item() == pytest.approx(1, abs=1e-4)  # L = 100
    assert white["B"].abs().max().item() < 1e-3
    # sRGB red is L 53.24, a 80.09, b 67.20.
    assert red["A"].mean().item() == pytest.approx(53.24 / 50 - 1, abs=1e-3)
    assert red["B"].mean(dim=(1, 2)).tolist() == pytest.approx([80.09 / 110, 67.20 / 110], abs=1e-3)


def test_colorization_sets_its_channels_and_refuses_others(tmp_path):
    opt = parsed("colorization", True, [])
    assert (opt.input_nc, opt.output_nc, opt.direction) == (1, 2, "AtoB")
    assert "--input_nc 3" in refusal("colorization", save_tree(tmp_path, train=1))


def test_the_error_of_colorization_names_the_missing_package(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage.color", None)
    message = refusal("colorization", save_tree(tmp_path, train=1), input_nc=1, output_nc=2)
    assert "python -m pip install scikit-image" in message


def test_the_template_dataset_works(tmp_path):
    opt = parsed("template", True, [])
    assert (opt.max_dataset_size, opt.new_dataset_option) == (10, 2.0)
    assert parsed("template", False, ["--new_dataset_option", "3"]).new_dataset_option == 3
    item = make("template", save_tree(tmp_path, photos=2), new_dataset_option=2.0)[1]
    assert set(item) == {"A", "B", "A_paths", "B_paths"}
    assert torch.allclose((item["B"] + 1) / 2, ((item["A"] + 1) / 2) ** 2, atol=1e-6)
    assert "no images below it" in refusal("template", mkdir(tmp_path / "bare"))


# singleimage


def single_images(tmp_path, **fields):
    save(tmp_path / "trainA" / "monet.png", picture(60, 50))
    save(tmp_path / "trainB" / "cliff.png", picture(40, 64, k=5))
    usual = {"preprocess": "zoom_and_patch", "random_scale_max": 3.0, "batch_size": 4, "accumulate": 1}
    np.random.seed(0)
    return make("singleimage", tmp_path, **{**usual, **fields})


def test_singleimage_returns_patches_of_one_scale_in_a_step(tmp_path):
    made = single_images(tmp_path)
    assert len(made) == 100_000 and made.files() == [made.paths["A"], made.paths["B"]]
    assert made[0]["A"].shape == made[0]["B"].shape == (3, 16, 16)
    order = made.visiting_order(1, 1, shuffled=True)
    assert sorted(order) == list(range(len(made))) and order[:4] != [0, 1, 2, 3]
    for start in range(0, 40, 4):
        assert len({made._scaled("A", index).size for index in order[start : start + 4]}) == 1
    sizes = {made._scaled("A", index).size for index in range(0, 400, 4)}
    assert len(sizes) > 50
    assert min(w for w, _ in sizes) >= 20 and min(h for _, h in sizes) >= 16 and max(w for w, _ in sizes) <= 60
    assert made.visiting_order(1, 1, shuffled=True) == order != made.visiting_order(1, 2, shuffled=True)


def test_singleimage_returns_whole_images_in_a_test_and_with_other_preprocess(tmp_path):
    made = single_images(tmp_path, isTrain=False, phase="test", preprocess="none", exact_size=True, no_flip=True)
    assert len(made) == 1
    item = made[0]
    assert (item["A"].shape, item["B"].shape) == ((3, 50, 60), (3, 64, 40))
    assert item["A_paths"].endswith("monet.png")
    assert single_images(tmp_path, preprocess="crop")[7]["A"].shape == (3, 16, 16)


def test_singleimage_refuses_several_or_too_small_images(tmp_path):
    save_tree(tmp_path / "two", trainA=2, trainB=1)
    fields = {"preprocess": "zoom_and_patch", "random_scale_max": 3.0, "accumulate": 1}
    assert "trainA: 2 images" in refusal("singleimage", tmp_path / "two", **fields)
    save_tree(tmp_path / "one", trainA=1)
    assert "trainB" in refusal("singleimage", tmp_path / "one", **fields)
    made = single_images(tmp_path / "small", crop_size=100, random_scale_max=1.0, preprocess="patch")
    with pytest.raises(InputError, match=r"monet\.png.*60x50.*--crop_size 100"):
        made[0]
