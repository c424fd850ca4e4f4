import os
import struct
import zlib

import numpy as np
import pytest
from data_help import picture, save
from PIL import Image

from data.image_paths import make_dataset
from data.pictures import open_image, read, write
from data.values import ORIENTATION, UPRIGHT
from util.errors import InputError


def pixels(image):
    return np.asarray(image).astype(int)


@pytest.mark.parametrize("name", ["a.png", "a.PNG", "a.bmp", "a.ppm", "a.tif", "a.tiff", "a.webp"])
def test_lossless_files_keep_their_pixels(tmp_path, name):
    path = save(tmp_path / name, picture(), **({"lossless": True} if name.endswith("webp") else {}))
    image = open_image(path)
    assert image.mode == "RGB"
    assert np.array_equal(pixels(image), pixels(picture()))


def test_jpeg_files_and_path_objects_are_read(tmp_path):
    save(tmp_path / "a.jpg", picture(), quality=95)
    plain = Image.open(tmp_path / "a.jpg").convert("RGB")
    assert np.array_equal(pixels(open_image(tmp_path / "a.jpg")), pixels(plain))


@pytest.mark.parametrize("extension", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path, extension, orientation):
    corners = np.zeros((16, 32, 3), np.uint8)
    corners[:8, :8] = 255  # white in the upper left corner of a wide black image
    upright = Image.fromarray(corners)
    undo = {6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}  # all others are their own inverse
    turn = undo.get(orientation, UPRIGHT.get(orientation))
    stored = upright if turn is None else upright.transpose(turn)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    image = open_image(save(tmp_path / f"a.{extension}", stored, exif=exif))
    assert image.size == (32, 16)
    assert np.abs(pixels(image) - corners).mean() < 8


def test_orientation_of_a_gray_image_is_applied_too(tmp_path):
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    image = open_image(save(tmp_path / "a.png", picture(30, 10).convert("L"), exif=exif))
    assert (image.mode, image.size) == ("RGB", (10, 30))


def test_an_image_with_broken_exif_data_is_read(tmp_path):
    path = save(tmp_path / "a.jpg", picture(), exif=b"Exif\x00\x00nonsense that is no TIFF header")
    assert open_image(path).size == (24, 24)


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr"])
def test_other_modes_become_rgb(tmp_path, mode):
    stored = picture().convert(mode)
    path = save(tmp_path / ("a.tif" if mode in ("CMYK", "YCbCr") else "a.png"), stored)
    try:
        Image.open(path).load()
    except OSError as error:  # Pillow 12.3 does not read the YCbCr that it wrote
        pytest.skip(f"this Pillow can't read what it wrote: {error}")
    image = open_image(path)
    assert image.mode == "RGB"
    assert np.array_equal(pixels(image), pixels(stored.convert("RGB")))


def test_a_cmyk_jpeg_becomes_rgb(tmp_path):
    image = open_image(save(tmp_path / "a.jpg", Image.new("CMYK", (8, 8), (0, 255, 255, 0)), quality=95))
    assert np.abs(pixels(image) - (255, 0, 0)).max() < 6


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparent_pixels_are_composited_on_white(tmp_path, mode):
    stored = Image.new(mode, (2, 1))
    stored.putpixel((0, 0), (0, 0, 0, 0) if mode == "RGBA" else (0, 0))
    stored.putpixel((1, 0), (90, 90, 90, 255) if mode == "RGBA" else (90, 255))
    assert pixels(open_image(save(tmp_path / "a.png", stored))).tolist() == [[[255] * 3, [90] * 3]]


def test_transparency_of_a_palette_or_of_one_colour_is_composited_on_white(tmp_path):
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.putpixel((1, 0), 1)
    assert pixels(open_image(save(tmp_path / "p.png", palette, transparency=0)))[0].tolist() == [
        [255] * 3,
        [40, 50, 60],
    ]
    key = Image.new("RGB", (2, 1), (1, 2, 3))
    key.putpixel((1, 0), (4, 5, 6))
    assert pixels(open_image(save(tmp_path / "k.png", key, transparency=(1, 2, 3))))[0].tolist() == [
        [255] * 3,
        [4, 5, 6],
    ]


def test_opaque_alpha_changes_nothing(tmp_path):
    image = open_image(save(tmp_path / "a.png", picture().convert("RGBA")))
    assert np.array_equal(pixels(image), pixels(picture()))


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.ppm"])
def test_16_bit_gray_is_scaled_not_clipped(tmp_path, name):
    levels = np.array([[0, 128, 257, 32768, 65535]], np.uint16)
    image = open_image(save(tmp_path / name, Image.fromarray(levels)))
    assert pixels(image)[0, :, 0].tolist() == [0, 0, 1, 128, 255]


def test_floating_point_gray_has_the_range_0_to_1(tmp_path):
    levels = np.array([[0, 0.5, 1]], np.float32)
    assert pixels(open_image(save(tmp_path / "a.tif", Image.fromarray(levels))))[0, :, 1].tolist() == [0, 128, 255]


@pytest.mark.parametrize(
    "levels", [np.array([[0, 200]], np.float32), np.array([[0, np.nan]], np.float32), np.array([[-1, 70000]], np.int32)]
)
def test_gray_values_outside_the_range_are_refused(tmp_path, levels):
    path = save(tmp_path / "a.tif", Image.fromarray(levels))
    with pytest.raises(InputError, match=r"a\.tif: .* gray values from .*save it as 8-bit"):
        open_image(path)


def one_line_about(path):
    with pytest.raises(InputError) as caught:
        open_image(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and "\n" not in message
    return message


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.bmp", "a.tif", "a.webp", "a.ppm"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_the_error_names_a_truncated_file(tmp_path, name, share):
    path = save(tmp_path / name, picture(200, 200))
    os.truncate(path, int(os.path.getsize(path) * share))
    assert one_line_about(path) != f"{path}: "  # and says why


@pytest.mark.parametrize("content", [b"", b"just text\nin lines", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"])
def test_the_error_names_a_file_that_is_no_image(tmp_path, content):
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    assert "not an image of a supported format" in one_line_about(str(path))


def test_errors_name_missing_files_and_folders(tmp_path):
    assert "No such file" in one_line_about(str(tmp_path / "a.jpg"))
    assert "directory" in one_line_about(str(tmp_path))


def test_a_decompression_bomb_is_refused_by_its_header(tmp_path):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    path = tmp_path / "a.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    )
    assert "too large to be read safely" in one_line_about(str(path))


def test_no_file_stays_open(tmp_path):
    path = save(tmp_path / "a.jpg", picture())
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    images = [open_image(path) for _ in range(20)]
    after = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    assert (len(images), after) == (20, before)


@pytest.mark.parametrize(("ending", "package"), [("heic", "pillow_heif"), ("avif", "PIL._avif")])
def test_photos_of_phones_are_found_read_and_written(ending, package, tmp_path):
    pytest.importorskip(package)
    levels = np.linspace(0, 255, 32 * 32 * 3).reshape(32, 32, 3).astype(np.uint8)
    write(tmp_path / f"a.{ending}", Image.fromarray(levels))
    assert make_dataset(tmp_path) == [str(tmp_path / f"a.{ending}")]
    for array in (np.asarray(open_image(tmp_path / f"a.{ending}")), read(tmp_path / f"a.{ending}").array):
        assert array.shape == levels.shape and np.abs(array.astype(int) - levels).mean() < 4  # the formats are lossy


def test_the_error_of_a_failed_write_names_the_path_once(tmp_path):
    (tmp_path / "file").write_text("no folder")
    path = tmp_path / "file" / "a.png"
    with pytest.raises(InputError, match="can't be written") as error:
        write(path, Image.new("RGB", (4, 4)))
    assert str(error.value).count(str(path)) == 1
