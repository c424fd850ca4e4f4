"""Conversion of images of any type to tensors and back, bit for bit for unchanged values."""

import numpy as np
import pytest
import torch
from PIL import Image

from data.conversion import to_tensor
from util.errors import InputError


def noise(*shape, dtype=np.uint8):
    if np.dtype(dtype).kind == "f":
        return np.random.default_rng(0).random(shape).astype(dtype)
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(5, 7, 3), (5, 7, 1), (5, 7), (5, 7, 4)])
def test_integer_arrays_survive_the_conversion_bit_for_bit(shape, dtype):
    image = noise(*shape, dtype=dtype)
    channels = shape[2] if len(shape) == 3 else 1
    tensor, back = to_tensor(image, channels)
    assert tensor.shape == (channels, 5, 7) and tensor.min() >= -1 and tensor.max() <= 1
    result = back(tensor)
    assert result.dtype == dtype and np.array_equal(result, image)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floating_point_arrays_survive_the_conversion_up_to_rounding(dtype):
    image = noise(5, 7, 3, dtype=dtype)
    tensor, back = to_tensor(image, 3)
    assert back(tensor).dtype == dtype
    np.testing.assert_allclose(back(tensor), image, atol=1e-3 if dtype == np.float16 else 1e-6)


def test_all_levels_of_16_bits_survive():
    image = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    tensor, back = to_tensor(image, 1)
    assert np.array_equal(back(tensor), image)


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "LA"])
def test_pil_images_keep_mode_size_and_transparency(mode):
    image = Image.fromarray(noise(6, 8, 4), "RGBA").convert(mode)
    tensor, back = to_tensor(image, 1 if mode in ("L", "LA") else 3)
    result = back(tensor)
    assert (result.mode, result.size) == (mode, image.size)
    assert np.array_equal(np.asarray(result), np.asarray(image))


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr"])
def test_other_pil_modes_survive_the_conversion(mode):
    image = Image.fromarray(noise(6, 8, 3)).convert(mode)
    tensor, back = to_tensor(image, 3)
    assert back(tensor).mode == mode and back(tensor).size == image.size


@pytest.mark.parametrize(("mode", "made"), [("P", "RGB"), ("1", "L")])
def test_the_result_of_an_image_with_few_colours_keeps_its_own_colours(mode, made):
    """The web palette, or black and white, would replace the colours of the network."""
    image = Image.fromarray(noise(6, 8, 3)).quantize(16) if mode == "P" else Image.fromarray(noise(6, 8)).convert("1")
    tensor, back = to_tensor(image, 3)
    result = torch.linspace(-1, 1, 48).reshape(1, 6, 8).expand(3, -1, -1) if mode == "1" else -tensor
    assert (back(result).mode, back(result).size) == (made, image.size)
    wanted = (result.permute(1, 2, 0).numpy() + 1) / 2 * 255
    assert np.abs(np.asarray(back(result).convert("RGB")) - wanted).max() <= 1


def test_16_bit_pil_images_stay_16_bit():
    image = Image.fromarray(noise(6, 8, dtype=np.uint16))
    tensor, back = to_tensor(image, 1)
    assert back(tensor).mode == "I;16" and np.array_equal(np.asarray(back(tensor)), np.asarray(image))


def test_an_image_file_is_turned_upright_and_keeps_its_mode(tmp_path):
    image = Image.fromarray(noise(6, 8))
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees to see it upright
    image.save(tmp_path / "turned.png", exif=exif)
    tensor, back = to_tensor(tmp_path / "turned.png", 1)
    assert tensor.shape == (1, 8, 6)
    assert np.array_equal(np.asarray(back(tensor)), np.rot90(np.asarray(image), -1))


def test_gray_and_colour_are_converted_for_the_network_and_back():
    gray = noise(6, 8)
    tensor, back = to_tensor(gray, 3)
    assert tensor.shape == (3, 6, 8)
    assert np.abs(back(tensor).astype(int) - gray).max() <= 1 and back(tensor).shape == gray.shape
    colour = noise(6, 8, 3)
    tensor, back = to_tensor(colour, 1)
    assert tensor.shape == (1, 6, 8)
    luma = np.asarray(Image.fromarray(colour).convert("L"))
    assert np.array_equal(back(tensor), np.repeat(luma[:, :, None], 3, axis=2))


def test_a_gray_image_may_become_a_colour_image():
    tensor, back = to_tensor(Image.fromarray(noise(6, 8)), 1)
    assert back(tensor.repeat(3, 1, 1)).mode == "RGB"
    tensor, back = to_tensor(noise(6, 8), 1)
    assert back(tensor.repeat(3, 1, 1)).shape == (6, 8, 3)


def test_tensors_keep_dtype_and_batch_size():
    batch = torch.rand(2, 3, 4, 5, dtype=torch.float64) * 2 - 1
    tensor, back = to_tensor(batch, 3)
    assert tensor.dtype == torch.float32 and back(tensor).dtype == torch.float64
    assert torch.allclose(back(tensor), batch, atol=1e-6)


@pytest.mark.parametrize(
    ("image", "error", "words"),
    [
        (3, TypeError, "a path, a PIL image, a numpy array"),
        (None, TypeError, "NoneType"),
        (noise(4, 4, 3).astype(np.int64), TypeError, "uint8, uint16 or floating point"),
        (np.array([["a"]]), TypeError, "uint8"),
        (noise(4), ValueError, r"\(H, W\) or \(H, W, C\)"),
        (noise(0, 4, 3), ValueError, r"\(H, W\)"),
        (noise(4, 4, 2), ValueError, "2 channels: expected 3"),
        (noise(4, 4, 3).astype(np.float32), ValueError, "outside"),
        (np.full((4, 4, 3), np.nan), ValueError, "NaN or infinite"),
        (torch.zeros(3, 4), ValueError, r"\(C, H, W\)"),
        (torch.zeros(1, 4, 4), ValueError, "1 channels: expected 3"),
        (torch.zeros(3, 4, 4, dtype=torch.uint8), TypeError, "floating point"),
        (torch.full((3, 4, 4), 255.0), ValueError, r"outside \[-1, 1\]"),
    ],
)
def test_the_error_for_wrong_input_states_the_expected_types(image, error, words):
    with pytest.raises(error, match=words):
        to_tensor(image, 3)


def test_the_error_names_a_file_that_is_no_image(tmp_path):
    (tmp_path / "note.png").write_text("hello")
    with pytest.raises(InputError, match="note.png"):
        to_tensor(str(tmp_path / "note.png"), 3)
    with pytest.raises(InputError, match="nowhere.png"):
        to_tensor(str(tmp_path / "nowhere.png"), 3)
