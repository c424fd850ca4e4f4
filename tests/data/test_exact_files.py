"""Files of any depth and number of channels are read, written, trained on and tested without loss."""

import contextlib
import io

import numpy as np
import pytest
import torch
from PIL import Image
from test_programs import SMALL, train, translate

import metamer
from data.conversion import to_tensor
from data.pictures import read, write
from data.planes import Planes, Side, open_exact
from data.values import Picture
from util.errors import InputError

FILES = {
    "gray8.png": (np.uint8, 1),
    "colour8.png": (np.uint8, 3),
    "alpha8.png": (np.uint8, 4),
    "gray16.png": (np.uint16, 1),
    "grayalpha16.png": (np.uint16, 2),
    "colour16.png": (np.uint16, 3),
    "alpha16.png": (np.uint16, 4),
    "gray16.tif": (np.uint16, 1),
    "colour8.tif": (np.uint8, 3),
    "colour16.tif": (np.uint16, 3),
    "five8.tif": (np.uint8, 5),
    "five16.tif": (np.uint16, 5),
    "two32.tif": (np.float32, 2),
    "gray32.tif": (np.float32, 1),
    "signed.tif": (np.int16, 1),
    "seven.npy": (np.uint16, 7),
    "double.npz": (np.float64, 2),
}


def values(dtype, channels, height=20, width=24, seed=0):
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "f":
        return rng.random((height, width, channels)).astype(dtype)
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, (height, width, channels), dtype=dtype, endpoint=True)


def need(name):
    if name.endswith(".tif"):
        pytest.importorskip("tifffile")
    if "16.png" in name:
        pytest.importorskip("imagecodecs")


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_written_and_read_exactly(name, tmp_path):
    need(name)
    array = values(*FILES[name])
    write(tmp_path / name, Picture(array, (0, 1)))
    picture = read(tmp_path / name)
    assert picture.array.dtype == array.dtype and np.array_equal(picture.array, array)
    assert picture.alpha == (name.startswith(("alpha", "grayalpha")))


@pytest.mark.parametrize("name", ["colour16.tif", "five16.tif", "gray16.tif", "colour8.tif"])
def test_the_exif_data_of_a_tiff_file_is_kept(name, tmp_path):
    need("five16.tif")
    exif = Image.Exif()
    exif.update({271: "Camera", 315: "Jörg", 306: "2026:01:02 03:04:05", 270: "a stack"})
    exif.get_ifd(0x8769).update({33434: 0.004, 36867: "2026:01:01 00:00:00", 42036: "a lens"})
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 30.0, 0.0)})
    notes = {"exif": exif.tobytes(), "icc_profile": b"a profile"}
    array = values(*FILES[name])
    for number in (1, 2):  # of the second file, written from the first
        write(tmp_path / f"{number}.tif", Picture(array, (0, 1), notes=notes))
        picture = read(tmp_path / f"{number}.tif")
        array, notes = picture.array, picture.notes
    assert np.array_equal(array, values(*FILES[name]))
    kept = Image.Exif()
    kept.load(notes["exif"])
    assert (kept[271], kept[306], kept[270]) == ("Camera", "2026:01:02 03:04:05", "a stack")
    assert kept.get_ifd(0x8769)[42036] == "a lens" and float(kept.get_ifd(0x8769)[33434]) == 0.004
    assert tuple(map(float, kept.get_ifd(0x8825)[2])) == (52, 30, 0)
    assert 273 not in kept  # where the first file has its pixels


@pytest.mark.parametrize("name", FILES)
def test_an_image_survives_the_conversion_to_a_tensor_bit_for_bit(name, tmp_path):
    need(name)
    array = values(*FILES[name])
    write(tmp_path / name, Picture(array, (0, 1)))
    picture = read(tmp_path / name)
    tensor, back = to_tensor(picture, array.shape[2])
    assert tensor.shape == (array.shape[2], 20, 24) and tensor.abs().max() <= 1
    result = back(tensor)
    write(tmp_path / f"again_{name}", result)
    again = read(tmp_path / f"again_{name}").array
    if array.dtype.kind == "f":  # networks calculate in float32
        np.testing.assert_allclose(again, array, atol=2e-7)
    else:
        assert np.array_equal(again, array)


def test_all_levels_of_a_range_within_16_bits_survive_and_no_value_is_clipped():
    levels = np.arange(-2000, 5000, dtype=np.int16).reshape(70, 100)
    tensor, back = to_tensor(levels, 1, (-1000, 3000))
    assert tensor.min() == -1.5 and tensor.max() > 1.9
    assert np.array_equal(back(tensor), levels)
    floats = levels.astype(np.float32)
    tensor, back = to_tensor(floats, 1, (-1000, 3000))
    np.testing.assert_allclose(back(tensor), floats, atol=1e-3)


def test_integers_do_not_wrap_around():
    _, back = to_tensor(np.zeros((2, 2), np.uint8), 1, (0, 200))
    assert back(torch.full((1, 2, 2), 3.0)).tolist() == [[255, 255]] * 2
    assert back(torch.full((1, 2, 2), -3.0)).tolist() == [[0, 0]] * 2
    assert back(torch.full((1, 2, 2), torch.nan)).tolist() == [[0, 0]] * 2


@pytest.mark.parametrize("name", ["turned.png", "turned.jpg", "turned16.png"])
def test_colour_profile_and_exif_data_are_kept_and_the_picture_is_upright(name, tmp_path):
    need(name)
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a note"
    array = values(np.uint8, 3)
    if name == "turned16.png":
        write(tmp_path / name, Picture(values(np.uint16, 3), (0, 1), notes={"icc_profile": b"profile" * 20}))
        turned = (20, 24)
    else:
        Image.fromarray(array).save(tmp_path / name, exif=exif, icc_profile=b"profile" * 20)
        turned = (24, 20)
    picture = read(tmp_path / name)
    assert picture.array.shape[:2] == turned
    write(tmp_path / f"out_{name}", picture)
    with Image.open(tmp_path / f"out_{name}") as image:
        assert image.info["icc_profile"] == b"profile" * 20
        if name != "turned16.png":
            assert image.getexif().get(0x010E) == "a note" and 0x0112 not in image.getexif()


def test_planar_and_turned_tiff_files(tmp_path):
    tifffile = pytest.importorskip("tifffile")
    array = values(np.uint16, 5)
    tifffile.imwrite(
        tmp_path / "planar.tif", array.transpose(2, 0, 1), photometric="minisblack", planarconfig="separate"
    )
    assert np.array_equal(read(tmp_path / "planar.tif").array, array)
    tifffile.imwrite(tmp_path / "turned.tif", array, photometric="minisblack", planarconfig="contig",
                     extratags=[(274, "H", 1, 6, True)])  # fmt: skip
    assert np.array_equal(read(tmp_path / "turned.tif").array, np.rot90(array, -1))


@pytest.mark.parametrize(
    ("name", "array", "words"),
    [
        (
            "a.png",
            values(np.uint16, 5),
            "a .png file holds 8 or 16 bits and at most 4 channels, .* 5 channels of uint16",
        ),
        ("a.jpg", values(np.uint16, 3), "a .jpg file holds 8 bits"),
        ("a.png", values(np.float32, 1), "channels of float32; choose tif, npy or npz"),
    ],
)
def test_a_format_that_cannot_hold_the_values_is_refused_and_nothing_is_written(name, array, words, tmp_path):
    with pytest.raises(InputError, match=words):
        write(tmp_path / name, Picture(array, (0, 1)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("long.npy", np.zeros((4, 4), np.int64), "int64: expected uint8, uint16 or floating point"),
        ("four.npy", np.zeros((1, 2, 3, 4), np.uint8), r"expected \(H, W\) or \(H, W, C\)"),
        ("wide.npy", np.full((4, 4), 7.5), r"from 7.5 to 7.5, outside \[0, 1\]: .*--data_range"),
        ("nan.npy", np.full((4, 4), np.nan), "NaN or infinite"),
        ("text.npy", None, "text.npy: "),
    ],
)
def test_errors_name_files_that_cannot_be_used(name, content, words, tmp_path):
    if content is None:
        (tmp_path / name).write_bytes(b"\x93NUMPY and nothing")
    else:
        np.save(tmp_path / name, content)
    with pytest.raises(InputError, match=words) as caught:
        read(tmp_path / name)
    assert str(caught.value).startswith(str(tmp_path / name))


def test_objects_in_a_numpy_file_are_never_unpickled(tmp_path):
    np.save(tmp_path / "a.npy", np.array([object()]), allow_pickle=True)
    with pytest.raises(InputError, match=r"a\.npy: .*allow_pickle"):
        read(tmp_path / "a.npy")


@pytest.mark.parametrize(("package", "name"), [("tifffile", "five16.tif"), ("imagecodecs", "colour16.png")])
def test_the_error_names_a_missing_package(package, name, tmp_path, monkeypatch):
    need(name)
    write(tmp_path / name, Picture(values(*FILES[name]), (0, 1)))
    monkeypatch.setitem(__import__("sys").modules, package, None)
    with pytest.raises(InputError, match=rf"{name}: .* needs the package {package}: python -m pip install {package}"):
        read(tmp_path / name)


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P", "CMYK"])
def test_a_tall_image_is_converted_in_strips(mode):
    from data.values import ROWS, from_pil

    image = Image.fromarray(values(np.uint8, 4, 2 * ROWS + 5, 3), "RGBA").convert(mode)
    plain = np.asarray(image.convert("L" if mode == "L" else "RGB"))
    made = from_pil(image).array
    assert np.array_equal(made[..., :3], plain[..., None] if mode == "L" else plain)


# data sets


def test_images_of_8_bits_become_rgb_and_others_keep_their_values(tmp_path):
    write(tmp_path / "a.png", Picture(values(np.uint8, 3), (0, 1)))
    write(tmp_path / "b.png", Picture(values(np.uint16, 1), (0, 1)))
    assert isinstance(open_exact(str(tmp_path / "a.png"), 3), Image.Image)
    planes = open_exact(str(tmp_path / "b.png"), 3)
    assert isinstance(planes, Planes) and len(planes.bands) == 3
    wanted = values(np.uint16, 1)[..., 0] / 65535 * 2 - 1
    np.testing.assert_allclose(np.asarray(planes.bands[2]), wanted, atol=1e-7)


def test_the_error_names_an_image_with_other_channels_than_the_network(tmp_path):
    np.save(tmp_path / "a.npy", values(np.uint16, 5))
    with pytest.raises(InputError, match=r"a\.npy: an image of 5 channels: expected 3.*--input_nc"):
        open_exact(str(tmp_path / "a.npy"), 3)


def quiet(function, *words, **settings):
    with contextlib.redirect_stdout(io.StringIO()):
        return function(*words, **settings)


SHORT = ("--netG", "resnet_4blocks", *SMALL, "--n_epochs_decay", "0", "--no_html", "--max_dataset_size", "1")


@pytest.fixture(scope="module")
def four_to_one(tmp_path_factory):
    """A run from four channels of 16 bits, in two folders, to one channel."""
    root = tmp_path_factory.mktemp("channels")
    for phase in ("train", "test"):
        for number in range(2):
            for folder, channels in (("A/colour", 3), ("A/depth", 1), ("B", 1)):
                (root / "data" / f"{phase}{folder}").mkdir(parents=True, exist_ok=True)
                np.save(
                    root / "data" / f"{phase}{folder}" / f"{number}.npy", values(np.uint16, channels, 40, 40, number)
                )
    words = ("--model", "pix2pix", "--dataset_mode", "aligned", "--input_nc", "4", "--output_nc", "1")
    run = quiet(train, root / "data", root, *words, "--folders_A", "colour", "depth", "--data_range=0,60000", *SHORT)
    return root, run


def test_four_channels_in_two_folders_become_one_channel_of_the_same_kind(four_to_one):
    root, run = four_to_one
    results = quiet(translate, root / "data", root, "--preprocess", "none")
    files = {path.name: np.load(path) for path in (results / "images").glob("*.npy")}
    assert set(files) == {f"{i}_{label}.npy" for i in range(2) for label in ("real_A", "fake_B", "real_B")}
    assert np.array_equal(files["0_real_B.npy"], values(np.uint16, 1, 40, 40, 0)[..., 0])
    assert np.array_equal(files["1_real_A.npy"][..., :3], values(np.uint16, 3, 40, 40, 1))
    assert files["0_fake_B.npy"].shape == (40, 40) and files["0_fake_B.npy"].dtype == np.uint16
    call = metamer.load(run, device="cpu")
    assert np.array_equal(call(files["0_real_A.npy"])[..., 0], files["0_fake_B.npy"])
    previews = sorted(path.name for path in (results / "previews").glob("*.png"))
    assert len(previews) == 6 and Image.open(results / "previews" / previews[0]).mode == "RGB"
    assert "previews of 8 bits, exact files in images/" in (results / "assets" / "items.js").read_text()
    page = (results / "plain.html").read_text()
    assert "previews/0_fake_B.png" in page and "0_fake_B.npy" in page


def test_a_stack_with_other_channels_or_missing_images_is_refused(four_to_one, tmp_path):
    root, _ = four_to_one
    from argparse import Namespace

    path = str(root / "data" / "trainA" / "colour" / "0.npy")
    with pytest.raises(InputError, match=r"have 4 channels together \(colour 3, depth 1\), but the network has 3"):
        Side(Namespace(), 3, ["colour", "depth"]).open(path)
    with pytest.raises(InputError, match=r"normal: no image 0; each folder of a stack"):
        Side(Namespace(), 4, ["colour", "normal"]).open(path)


@pytest.mark.parametrize("name", ["gray16.png", "colour16.png", "colour16.tif", "colour8.png", "five8.tif"])
def test_a_test_with_an_identity_generator_returns_the_files_bit_for_bit(name, tmp_path, monkeypatch):
    need(name)
    import models.test_model

    dtype, channels = FILES[name]
    monkeypatch.setattr(models.test_model.TestModel, "make_G", lambda self, *channels: torch.nn.Identity())
    monkeypatch.setattr(models.test_model.TestModel, "load_networks", lambda self, epoch: None)
    (tmp_path / "photos").mkdir()
    (tmp_path / "runs" / "run").mkdir(parents=True)
    (tmp_path / "runs" / "run" / "latest_net_G.pth").touch()  # replaced by the identity
    array = values(dtype, channels, 37, 50)
    write(tmp_path / "photos" / name, Picture(array, (0, 1)))
    nc = ("--input_nc", str(channels), "--output_nc", str(channels))
    words = ("--model", "test", "--dataset_mode", "single", "--preprocess", "none", "--num_threads", "0", *nc)
    results = quiet(translate, tmp_path / "photos", tmp_path, *words)
    stem, ending = name.rsplit(".", 1)
    made = read(results / "images" / f"{stem}_fake.{ending}").array
    assert made.dtype == dtype and np.array_equal(made, array)


def test_output_format_changes_the_format_of_the_results(four_to_one):
    root, _ = four_to_one
    pytest.importorskip("tifffile")
    results = quiet(translate, root / "data", root, "--preprocess", "none", "--output_format", "tif", "--num_test", "1")
    assert read(results / "images" / "0_fake_B.tif").array.dtype == np.uint16
    with pytest.raises(InputError, match="--output_format"):
        quiet(translate, root / "data", root, "--output_format", "bmp")


def test_data_range_on_the_command_line():
    from options.train_options import TrainOptions

    def parsed(*words):
        return quiet(TrainOptions(["--dataroot", ".", "--device", "cpu", *words]).parse).data_range

    assert parsed("--data_range", "-1000,3000") == (-1000, 3000)
    assert parsed("--data_range=0,.5") == (0, 0.5)
    for text, words in (("3,1", "must be the smaller"), ("1", "not a range"), ("0,x", "'x' is not a number")):
        with pytest.raises(InputError, match=words):
            parsed("--data_range", text)
