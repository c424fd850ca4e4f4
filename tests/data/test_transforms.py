import json
import pickle
import random
from argparse import Namespace
from pathlib import Path

import numpy as np
import PIL
import pytest
import torch
from data_help import picture
from PIL import Image

import data.base_dataset as base_dataset
from data.base_dataset import get_params, get_transform
from data.flags import PREPROCESS
from data.transforms import to_tensor
from util.errors import InputError

CASES = json.loads((Path(__file__).parents[1] / "parity" / "transforms.json").read_text())
PARITY = [(group, number) for group in ("upstream", "cut") for number in range(len(CASES[group]))]


def options(preprocess, load_size=20, crop_size=16, no_flip=True, **more):
    return Namespace(preprocess=preprocess, load_size=load_size, crop_size=crop_size, no_flip=no_flip, **more)


def helper(name):
    return vars(base_dataset)["__" + name]  # written out, the name would be mangled inside a class


@pytest.mark.parametrize("group, number", PARITY)
def test_transforms_give_the_pixels_of_the_originals(group, number):
    case = CASES[group][number]
    opt = options(**case["options"], round_to_4=group == "cut")
    params = {name: value if isinstance(value, bool) else tuple(value) for name, value in case["params"].items()}
    image = picture(**case["image"])
    tensor = get_transform(opt, params, grayscale=case.get("grayscale", False))(image).double()
    expected = case["output"]
    assert list(tensor.shape) == expected["shape"]
    # Another version of Pillow may be off by one gray level.
    same = PIL.__version__ == CASES["made_with"]["pillow"]
    stated = torch.tensor(expected["val"], dtype=torch.float64)
    torch.testing.assert_close(tensor.flatten()[expected["idx"]], stated, atol=1e-6 if same else 0.008, rtol=0)
    for name, value in {"mean": tensor.mean(), "std": tensor.std(correction=0), "l2": tensor.norm()}.items():
        assert value.item() == pytest.approx(expected[name], rel=1e-6 if same else 1e-3, abs=1e-6 if same else 1e-3)


@pytest.mark.parametrize("mode", ["RGB", "L", "1", "RGBA", "F", "CMYK"])
def test_to_tensor_has_the_bits_of_torchvision(mode):
    transforms = pytest.importorskip("torchvision.transforms")
    image = picture(37, 23).convert(mode)
    channels = len(image.getbands())
    reference = transforms.Compose([transforms.ToTensor(), transforms.Normalize([0.5] * channels, [0.5] * channels)])
    ours = to_tensor(image)
    assert torch.equal(ours, reference(image))
    assert ours.is_contiguous()


def test_every_gray_level_has_the_value_of_torchvision():
    transforms = pytest.importorskip("torchvision.transforms")
    levels = Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16))
    for mode in ("L", "RGB"):
        reference = transforms.Normalize((0.5,), (0.5,))(transforms.ToTensor()(levels.convert(mode)))
        assert torch.equal(to_tensor(levels.convert(mode)), reference)
        assert reference.min() == -1 and reference.max() == 1


def test_interpolation_may_be_given_by_any_of_its_names():
    modes = pytest.importorskip("torchvision.transforms").InterpolationMode
    image, opt = picture(), options("resize", load_size=15)
    by_constant = get_transform(opt, method=Image.Resampling.BILINEAR)(image)
    assert torch.equal(by_constant, get_transform(opt, method=modes.BILINEAR)(image))
    assert torch.equal(by_constant, get_transform(opt, method=2)(image))
    assert not torch.equal(by_constant, get_transform(opt)(image))
    assert helper("transforms2pil_resize")(modes.NEAREST_EXACT) == Image.Resampling.NEAREST


@pytest.mark.parametrize("word", PREPROCESS)
def test_every_preprocess_can_be_pickled_and_takes_shared_params(word):
    opt, image = options(word, no_flip=False, load_size=40, crop_size=16), picture(60, 50)
    anew = pickle.loads(pickle.dumps(get_transform(opt)))
    random.seed(3)
    first = anew(image)
    random.seed(3)
    assert torch.equal(first, get_transform(opt)(image))
    # With given params nothing is random.
    params = get_params(opt, image.size)
    transform = pickle.loads(pickle.dumps(get_transform(opt, params)))
    results = [transform(image) for _ in range(4)]
    assert all(torch.equal(result, results[0]) for result in results)
    if word.endswith(("crop", "patch")):
        assert results[0].shape == (3, 16, 16)


@pytest.mark.parametrize("word", [word for word in PREPROCESS if "crop" in word])
def test_drawn_crops_never_leave_the_image(word):
    white = Image.new("RGB", (50, 30), "white")
    opt = options(word, load_size=24, crop_size=20)
    for seed in range(30):
        random.seed(seed)
        assert get_transform(opt, get_params(opt, white.size))(white).min() == 1  # black padding would be -1


def test_params_are_drawn_from_python_random_in_the_order_of_the_originals():
    opt = options("resize_and_crop", load_size=286, crop_size=256)
    random.seed(5)
    params = get_params(opt, (1000, 600))
    random.seed(5)
    assert params == {"crop_pos": (random.randint(0, 30), random.randint(0, 30)), "flip": random.random() > 0.5}


def test_crop_positions_include_both_ends():
    opt = options("crop", crop_size=4)
    seen = {get_params(opt, (6, 5))["crop_pos"] for _ in range(200)}
    assert seen == {(x, y) for x in range(3) for y in range(2)}


@pytest.mark.parametrize("word", ["crop", "patch"])
@pytest.mark.parametrize("given", [True, False])
def test_an_image_smaller_than_the_crop_is_refused(word, given):
    opt = options(word, crop_size=16)
    image = picture(40, 12)
    with pytest.raises(InputError, match="40x12 pixels is too small for --crop_size 16"):
        get_transform(opt, get_params(opt, image.size) if given else None)(image)


def test_a_given_crop_of_a_small_image_is_that_of_the_originals():
    """Black outside the image, but an image that is in no direction larger than the crop stays as it is."""
    opt = options("crop", crop_size=16)
    params = {"crop_pos": (3, 0), "flip": False}
    white = Image.new("RGB", (40, 12), "white")
    window = get_transform(opt, params)(white)
    assert window.shape == (3, 16, 16)
    assert (window[:, :12] == 1).all() and (window[:, 12:] == -1).all()
    for size in ((12, 9), (16, 9), (16, 16)):
        image = picture(*size)
        assert torch.equal(get_transform(opt, params)(image), get_transform(options("none_of_these"))(image))


@pytest.mark.parametrize("side, rounded", {2: 4, 4: 4, 5: 4, 6: 8, 9: 8, 10: 8, 13: 12, 14: 16, 18: 16, 22: 24}.items())
def test_rounding_to_four(side, rounded):
    assert helper("make_power_2")(picture(side, 8), 4).size == (rounded, 8)


def test_sizes_are_rounded_with_none_only_unless_round_to_4_is_set():
    image = picture(41, 30)
    sizes = {}
    for word in ("none", "scale_width"):
        for always in (False, True):
            sizes[word, always] = get_transform(options(word, load_size=41, crop_size=8, round_to_4=always))(
                image
            ).shape[1:]
    assert sizes == {
        ("none", False): (32, 40),
        ("none", True): (32, 40),
        ("scale_width", False): (30, 41),
        ("scale_width", True): (32, 40),
    }


def test_the_warning_about_sizes_is_printed_once(capsys, monkeypatch):
    monkeypatch.setattr("data.transforms._warned", [])
    for _ in range(3):
        helper("make_power_2")(picture(41, 30), 4)
    assert capsys.readouterr().out.count("41x30 was scaled to 40x32") == 1


def test_scale_shortside_enlarges_but_never_shrinks():
    assert helper("scale_shortside")(picture(10, 30), 20, 16).size == (20, 60)
    assert helper("scale_shortside")(picture(50, 30), 20, 16).size == (50, 30)


def test_patches_tile_the_image_column_by_column():
    image = picture(33, 17)
    whole = np.asarray(image)
    for index, (x, y) in enumerate([(0, 0), (0, 8), (8, 0), (8, 8), (16, 0), (16, 8), (24, 0), (24, 8), (0, 0)]):
        cell = helper("patch")(image, index, 8, offset=(0, 0))
        assert np.array_equal(np.asarray(cell), whole[y : y + 8, x : x + 8])


def test_trim_keeps_a_short_side():
    assert helper("trim")(picture(33, 5), 8).size == (8, 5)


def test_a_factor_or_offset_may_be_a_numpy_array():
    zoomed = helper("random_zoom")(picture(100, 50), 0, 20, factor=np.array([0.5, 0.8]))
    assert zoomed.size == (50, 40)
    opt = options("zoom_and_patch", crop_size=20)
    params = {"scale_factor": np.array([0.5, 0.8]), "patch_index": 1, "offset": np.array([0.0, 0.0])}
    assert get_transform(opt, params)(picture(100, 50)).shape == (3, 20, 20)
    assert helper("trim")(picture(40, 30), 20, offset=np.array([0.0, 0.0])).size == (20, 20)


def test_a_zoomed_image_is_at_least_as_large_as_the_crop():
    assert helper("random_zoom")(picture(100, 50), 0, 45, factor=(0.5, 0.8)).size == (50, 45)


def test_flip_mirrors_as_given_or_by_a_random_choice():
    image = picture(7, 5)
    mirrored = np.asarray(image)[:, ::-1]
    assert np.array_equal(np.asarray(helper("flip")(image, True)), mirrored)
    assert helper("flip")(image, False) is image
    random.seed(0)
    coins = [helper("flip")(image) is image for _ in range(200)]
    assert 60 < sum(coins) < 140


def test_fixsize_takes_the_size_from_params():
    opt = options("fixsize")
    assert get_transform(opt, {"size": (12, 20)})(picture()).shape == (3, 12, 20)
    assert get_transform(opt, {"size": 12})(picture(48, 24)).shape == (3, 12, 24)
    with pytest.raises(InputError, match="fixsize"):
        get_transform(opt)


def test_without_convert_the_result_is_a_pil_image():
    result = get_transform(options("resize_and_crop"), convert=False, grayscale=True)(picture())
    assert (result.mode, result.size) == ("L", (16, 16))


def test_helpers_can_be_imported_from_the_original_addresses():
    names = "make_power_2 scale_width scale_shortside random_zoom crop patch trim flip"
    for name in [*names.split(), "transforms2pil_resize", "print_size_warning"]:
        assert callable(helper(name))


def test_documented_values_of_preprocess_exist():
    documented = (
        "resize_and_crop crop scale_width scale_width_and_crop none scale_shortside scale_shortside_and_crop resize"
    )
    assert {*documented.split(), "zoom_and_patch", "zoom_and_crop", "trim"} <= set(PREPROCESS)
    assert len(PREPROCESS) == len(set(PREPROCESS))
