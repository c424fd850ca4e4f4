"""util.util: tensors to images, images to files, and helpers that plug-ins import."""

import argparse
import types

import numpy as np
import pytest
import torch
from PIL import Image

from util.errors import InputError
from util.util import (
    copyconf,
    correct_resize,
    correct_resize_label,
    diagnose_network,
    find_class_in_module,
    mkdir,
    mkdirs,
    print_numpy,
    save_image,
    str2bool,
    tensor2im,
)


def pixel(*values):
    return torch.tensor(values).reshape(1, -1, 1, 1)


def test_values_are_clamped_and_rounded():
    picture = tensor2im(torch.tensor([-1.02, -1.0, 0.0, 0.99, 1.0, 1.02]).reshape(1, 1, 1, 6))
    assert picture.dtype == np.uint8
    assert picture[0, :, 0].tolist() == [0, 0, 128, 254, 255, 255]


def test_every_8_bit_value_survives_the_conversion():
    values = torch.arange(256.0)
    assert tensor2im((values / 255 * 2 - 1).reshape(1, 1, 16, 16))[..., 0].ravel().tolist() == values.tolist()


@pytest.mark.parametrize(
    ("channels", "expected"),
    [([1.0], [255] * 3), ([1.0, 1.0], [255, 255, 0]), ([1.0, -1.0, 1.0], [255, 0, 255]), ([1.0] * 4, [255] * 3)],
)
def test_images_have_three_channels(channels, expected):
    assert tensor2im(pixel(*channels))[0, 0].tolist() == expected


def test_only_the_first_of_a_batch_is_taken():
    assert tensor2im(torch.stack([torch.ones(3, 4, 5), -torch.ones(3, 4, 5)])).min() == 255


def test_a_single_image_without_batch_works():
    assert tensor2im(torch.zeros(3, 4, 5)).shape == (4, 5, 3)


def test_tensors_in_half_precision_and_with_gradients_are_converted():
    assert tensor2im(torch.ones(1, 3, 2, 2, dtype=torch.bfloat16, requires_grad=True)).max() == 255


def test_nan_becomes_black():
    assert tensor2im(pixel(float("nan"), float("inf"), float("-inf")))[0, 0].tolist() == [0, 255, 0]


def test_numpy_arrays_are_converted_to_the_given_type():
    picture = np.array([[[254.7, 300.0, -3.0]]])
    assert tensor2im(picture).tolist() == [[[255, 255, 0]]]
    same = np.zeros((2, 2, 3), np.uint8)
    assert tensor2im(same) is same


def test_other_objects_are_returned_unchanged():
    assert tensor2im("text") == "text"


@pytest.mark.parametrize(
    ("ratio", "size"), [(1.0, (20, 10)), (None, (20, 10)), (2.0, (40, 10)), (0.5, (20, 20)), (1.5, (30, 10))]
)
def test_aspect_ratio_stretches_the_right_side_of_an_oblong_picture(tmp_path, ratio, size):
    save_image(np.zeros((10, 20, 3), np.uint8), tmp_path / "a.png", aspect_ratio=ratio)
    with Image.open(tmp_path / "a.png") as image:
        assert image.size == size


@pytest.mark.parametrize("shape", [(4, 6), (4, 6, 1), (4, 6, 2), (4, 6, 3)])
def test_pictures_of_any_channel_count_are_written(tmp_path, shape):
    save_image(np.full(shape, 7, np.uint8), tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        assert image.size == (6, 4)
        assert np.asarray(image).max() == 7


def test_folders_are_made_with_their_parents_and_may_exist(tmp_path):
    mkdirs([tmp_path / "a" / "b", str(tmp_path / "c")])
    mkdirs(str(tmp_path / "d"))
    mkdir(tmp_path / "d")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "c", "d"]


@pytest.mark.parametrize(("word", "value"), [("Yes", True), ("t", True), ("1", True), ("NO", False), ("0", False)])
def test_str2bool_reads_words_for_true_and_false(word, value):
    assert str2bool(word) is value
    assert str2bool(value) is value


def test_other_words_are_a_usage_error():
    parser = argparse.ArgumentParser()
    parser.add_argument("--nce_idt", type=str2bool)
    with pytest.raises(SystemExit) as error:
        parser.parse_args(["--nce_idt", "perhaps"])
    assert error.value.code == 2


def test_copyconf_does_not_change_the_original():
    opt = argparse.Namespace(phase="train", lr=0.1)
    assert copyconf(opt, phase="test") == argparse.Namespace(phase="test", lr=0.1)
    assert opt.phase == "train"


def test_class_names_ignore_case_and_underscores():
    module = types.ModuleType("plugin")
    module.CycleGANModel = type("CycleGANModel", (), {})
    module.cycleganmodel = "not a class"
    assert find_class_in_module("cycle_gan_model", module) is module.CycleGANModel


def test_the_error_for_a_missing_class_names_module_and_nearest_class():
    module = types.ModuleType("plugin")
    module.MyModel = type("MyModel", (), {})
    with pytest.raises(InputError, match=r"plugin: no class MyModle.*MyModel"):
        find_class_in_module("MyModle", module)


@pytest.mark.parametrize("channels", [1, 3])
def test_resizing_a_batch_keeps_channels_and_range(channels):
    images = torch.linspace(-1, 1, 2 * channels * 8 * 6).reshape(2, channels, 8, 6)
    resized = correct_resize(images, (3, 4))
    assert resized.shape == (2, channels, 4, 3)
    assert resized.abs().max() <= 1
    assert torch.allclose(resized.mean((2, 3)), images.mean((2, 3)), atol=0.02)


def test_resizing_a_label_map_adds_no_label():
    labels = torch.tensor([[0.0, 7.0], [3.0, 200.0]])[None, None]
    resized = correct_resize_label(labels, (6, 4))
    assert resized.shape == (1, 1, 4, 6)
    assert resized.dtype == torch.int64
    assert resized.unique().tolist() == [0, 3, 7, 200]


def test_gradients_and_arrays_are_described(capsys):
    net = torch.nn.Linear(2, 1, bias=False)
    diagnose_network(net, "netG")
    net.weight.grad = torch.tensor([[1.0, -3.0]])
    diagnose_network(net, "netG")
    print_numpy([1, 3], shp=True)
    out = capsys.readouterr().out
    assert "netG: no gradients" in out
    assert "netG: mean absolute gradient 2" in out
    assert "shape (2,)" in out and "mean 2.000" in out


def test_a_tall_image_is_converted_like_its_strips():
    tall = torch.rand(4, 2100, 3) * 2.2 - 1.1
    parts = [tensor2im(part) for part in tall.split(500, dim=1)]
    assert np.array_equal(tensor2im(tall), np.concatenate(parts)) and tensor2im(tall).dtype == np.uint8
    exact = [tensor2im(part, np.float32) for part in tall.split(500, dim=1)]
    assert np.array_equal(tensor2im(tall, np.float32), np.concatenate(exact))
