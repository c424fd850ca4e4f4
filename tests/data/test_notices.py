"""What an image loses without an error is said: once for each kind of loss, with what avoids it."""

import multiprocessing
import warnings

import numpy as np
import pytest
import torch
from data_help import make_opt, picture, save
from PIL import Image

from data import notices
from data.base_dataset import get_transform
from data.conversion import to_tensor
from data.pictures import open_image, read
from data.planes import open_exact
from util.errors import Notice


@pytest.fixture(autouse=True)
def nothing_said():
    notices.reset()
    yield
    notices.reset()


def said(function, *arguments):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        function(*arguments)
    return [str(each.message) for each in caught if issubclass(each.category, Notice)]


@pytest.mark.parametrize(
    ("name", "mend"),
    [("pages.tif", "save each page as a file"), ("moving.webp", "mp4"), ("moving.gif", "mp4"), ("moving.png", "mp4")],
)
@pytest.mark.parametrize("reader", [open_image, read])
def test_further_pages_and_frames_of_a_file_are_reported_as_left_out(tmp_path, name, mend, reader):
    path = save(tmp_path / name, picture(), save_all=True, append_images=[picture(k=40)])
    (line,) = said(reader, path)
    assert line.startswith(f"{path}: it has more than one") and mend in line
    assert said(reader, path) == []  # once


@pytest.mark.parametrize("name", ["page.tif", "still.webp", "still.gif", "still.png", "photo.jpg"])
def test_a_file_with_one_page_prints_nothing(tmp_path, name):
    assert said(open_image, save(tmp_path / name, picture())) == []


def gray(path, highest):
    levels = np.linspace(0, highest, 24 * 24).astype(np.uint16).reshape(24, 24)
    Image.fromarray(levels).save(path)
    return str(path)


@pytest.mark.parametrize(
    ("highest", "flag"),
    [(4017, "--data_range 0,4095"), (1500, "--data_range 0,4095"), (255, "--data_range 0,255"), (20000, None)],
)
@pytest.mark.parametrize("name", ["scan.tif", "scan.png"])
def test_values_of_few_bits_in_files_of_16_bits_are_reported(tmp_path, name, highest, flag):
    path = gray(tmp_path / name, highest)
    lines = said(open_exact, path, 1)
    assert len(lines) == (flag is not None)
    assert all(path in line and flag in line for line in lines)


def test_with_a_data_range_nothing_is_reported_about_bits(tmp_path):
    assert said(open_exact, gray(tmp_path / "scan.png", 4017), 1, (0, 4095)) == []


def test_a_dark_array_is_reported_without_counting_transparency(tmp_path):
    array = np.full((8, 8, 3), 900, np.uint16)
    assert "of 10 bits" in said(to_tensor, array, 3)[0]
    notices.reset()
    pytest.importorskip("imagecodecs")
    from data.pictures import write
    from data.values import Picture

    opaque = np.full((8, 8, 1), 65535, np.uint16)
    write(tmp_path / "a.png", Picture(np.concatenate([array, opaque], 2), (0, 65535)))
    assert "of 10 bits" in said(read, tmp_path / "a.png")[0]


def test_squeezing_photos_to_a_square_is_reported():
    transform = get_transform(make_opt(".", load_size=18))
    (line,) = said(transform, picture(30, 24))
    assert "30x24 pixels is squeezed to 18x18" in line and "--preprocess none" in line
    assert "scale_width_and_crop --load_size 20," in line
    kept = make_opt(".", preprocess="scale_width_and_crop", load_size=20)
    assert get_transform(kept, {"crop_pos": (0, 0)})(picture(30, 24)).shape == (3, 16, 16)
    assert said(transform, picture(60, 24)) == []  # once


@pytest.mark.parametrize(
    "word", ["scale_width_and_crop", "scale_shortside_and_crop", "crop", "none", "resize_and_crop"]
)
def test_proportions_that_stay_are_not_worth_a_line(word):
    shape = (24, 24) if word.startswith("resize") else (30, 24)
    assert said(get_transform(make_opt(".", preprocess=word)), picture(*shape)) == []


def test_the_processes_of_a_program_print_a_notice_once(tmp_path):
    path = save(tmp_path / "pages.tif", picture(), save_all=True, append_images=[picture(k=40)])
    worker = multiprocessing.get_context("fork").Process(target=open_image, args=(path,))
    worker.start()
    worker.join()
    assert worker.exitcode == 0 and said(open_image, path) == []


def test_colours_that_a_gray_image_loses_are_reported_once():
    tensor, back = to_tensor(picture(8, 6).convert("L"), 3)
    assert said(back, tensor) == []  # a gray result
    coloured = tensor * torch.tensor([1.0, 0.5, -1.0])[:, None, None]
    (line,) = said(back, coloured)
    assert line.startswith("a gray image gets a gray translation") and "convert the image to RGB" in line
    assert said(back, coloured) == []
    notices.reset()
    tensor, back = to_tensor(picture(8, 6), 3)
    assert said(back, tensor * torch.tensor([1.0, 0.5, -1.0])[:, None, None]) == []
