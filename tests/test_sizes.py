"""Images of any height and width: training on rectangles, result page, command and call."""

import contextlib
import io
import json

import numpy as np
import pytest
import torch
from PIL import Image
from test_programs import SMALL, picture, train, translate

import metamer
from options.train_options import TrainOptions
from util.errors import InputError

SIZES = {"a": (37, 50), "b": (64, 48), "c": (9, 70)}  # height and width; the last is too small for training
RECTANGLES = ("--load_size", "36,52", "--crop_size", "32,48", "--n_epochs_decay", "0", "--no_html")
CONTRASTIVE = ("--netG", "resnet_4blocks", "--netF_nc", "8", "--num_patches", "8", "--nce_layers", "0,4", *SMALL)
SINCUT = ("--netG", "smallstylegan2", "--netD", "tilestylegan2", "--D_patch_size", "16", "--nce_layers", "0,2")
UNET_128 = ("--netG", "unet_128", "--norm", "batch")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Unpaired and paired images of several sizes."""
    root = tmp_path_factory.mktemp("sizes")
    for number, (name, (height, width)) in enumerate(SIZES.items()):
        for folder in ("trainA", "trainB", "testA", "testB")[2 * (height < 32) :]:
            picture(root / "photos" / folder / f"{name}.png", width, height, seed=number + 10 * folder.endswith("B"))
            if name == "b":
                picture(root / "single" / folder / f"{name}.png", width, height, seed=number)
        for phase in ("train", "test")[height < 32 :]:
            picture(root / "pairs" / phase / f"{name}.png", 2 * width, height, seed=number)
    return root


def quiet(function, *words, **settings):
    with contextlib.redirect_stdout(io.StringIO()):
        return function(*words, **settings)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("cycle_gan", ("--netG", "resnet_4blocks", *SMALL)),
        ("pix2pix", ("--netG", "resnet_4blocks", "--netD", "pixel", "--no_flip", *SMALL)),
        ("colorization", ("--netG", "resnet_4blocks", *SMALL)),
        ("cut", CONTRASTIVE),
        ("fastcut", CONTRASTIVE),
        ("dclgan", CONTRASTIVE),
        ("simdcl", CONTRASTIVE),
        ("sincut", (*CONTRASTIVE[2:], *SINCUT)),
        ("template", SMALL),
    ],
)
def test_every_model_trains_on_rectangles(model, words, photos, tmp_path, monkeypatch):
    if model == "colorization":
        pytest.importorskip("skimage")
    seen = []
    from models import find_model_using_name

    cls = find_model_using_name(model)
    own = cls.set_input
    monkeypatch.setattr(cls, "set_input", lambda self, input: (seen.append(input["A"].shape), own(self, input)))
    folders = {"sincut": "single", **dict.fromkeys(("pix2pix", "colorization", "template"), "pairs")}
    data = photos / folders.get(model, "photos")
    run = quiet(train, data, tmp_path, "--model", model, *words, *RECTANGLES, "--max_dataset_size", "1")
    assert [tuple(shape[2:]) for shape in seen] == [(32, 48)]
    assert json.loads((run / "train_opt.json").read_text())["options"]["crop_size"] == "32,48"


@pytest.mark.parametrize(
    ("model", "words", "side"),
    [
        ("pix2pix", ("--netG", "resnet_4blocks", "--preprocess", "none", *SMALL), 20),
        ("cut", (*CONTRASTIVE, "--preprocess", "none"), 1),
    ],
)
def test_images_that_are_too_small_for_the_discriminator_give_one_line(model, words, side, tmp_path):
    for folder, width in (("train", 2 * side), ("trainA", side), ("trainB", side)):
        picture(tmp_path / "data" / folder / "tiny.png", width, side)
    with pytest.raises(InputError, match=r"tiny\.png: too small .*--preprocess resize_and_crop.*--netD pixel"):
        quiet(train, tmp_path / "data", tmp_path, "--model", model, *words)


@pytest.mark.parametrize("flag", ["--load_size", "--crop_size"])
def test_stargan_names_its_own_flag_for_sizes(flag):
    words = ["--dataroot", ".", "--model", "stargan", "--dataset_mode", "celeba", "--selected_attrs", "Male", "Young"]
    with pytest.raises(InputError, match=rf"{flag}: .*--image_size"):
        TrainOptions([*words, flag, "32,48"]).parse()
    with pytest.raises(InputError, match="--image_size: '32,48'"):
        TrainOptions([*words, "--image_size", "32,48"]).parse()


def parsed(*words):
    return quiet(TrainOptions(["--dataroot", ".", "--device", "cpu", "--model", "cycle_gan", *words]).parse)


def test_a_size_is_a_number_or_two():
    assert parsed("--crop_size", "64", "--load_size", "64,64").load_size == 64
    opt = parsed("--crop_size", "64,128", "--load_size", "80,128")
    assert tuple(opt.crop_size) == (64, 128) and str(opt.crop_size) == "64,128"
    assert opt.load_size.height == 80


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--crop_size", "64,x"), "--crop_size: 'x' is not a whole number"),
        (("--crop_size", "64,0"), "--crop_size: '0' is not allowed"),
        (("--load_size", "1,2,3"), "--load_size: '1,2,3' is not a size; give one number, or height,width"),
        (("--load_size", "300,100", "--crop_size", "64,128"), "--load_size 300,100: smaller than --crop_size 64,128"),
        (("--crop_size", "66,128", "--load_size", "200"), "--crop_size 66,128: .* multiple of 4; try 64,128 or 68,128"),
        (
            ("--crop_size", "128,200", "--load_size", "300", "--netG", "unet_128"),
            "--crop_size 128,200: .* multiple of 128; try 128 or 128,256",
        ),
    ],
)
def test_sizes_that_do_not_fit_are_refused(words, message):
    with pytest.raises(InputError, match=message):
        parsed(*words)


@pytest.fixture(scope="module")
def runs(photos):
    """A run of each kind of generator; the U-Net is trained on whole images of any size."""
    short = ("--n_epochs_decay", "0", "--max_dataset_size", "3", "--no_html")
    return {
        "cycle_gan": quiet(train, photos / "photos", photos, "--model", "cycle_gan", "--netG", "resnet_4blocks",
                           *SMALL, *RECTANGLES, name="cycle_gan"),
        "pix2pix": quiet(train, photos / "pairs", photos, "--model", "pix2pix", *UNET_128, *SMALL, *short,
                         "--preprocess", "none", name="pix2pix"),
        "cut": quiet(train, photos / "photos", photos, "--model", "cut", *CONTRASTIVE, *short, name="cut"),
    }  # fmt: skip


def test_a_test_restores_a_rectangle(runs, photos):
    results = quiet(translate, photos / "photos", photos, name="cycle_gan")
    sizes = {Image.open(path).size for path in (results / "images").glob("*.png")}
    assert sizes == {(48, 32)}


@pytest.mark.parametrize("name", ["cycle_gan", "pix2pix", "cut"])
def test_the_call_and_a_test_give_the_same_pixels_in_the_size_of_the_input(name, runs, photos, tmp_path):
    from scripts.translate import main

    data = photos / ("pairs" if name == "pix2pix" else "photos")
    results = quiet(translate, data, photos, "--preprocess", "none", name=name)
    images = results / "images"
    inputs = sorted(images.glob("*_real_A.png"))
    assert quiet(main, [str(runs[name]), *map(str, inputs), "--output", str(tmp_path / "out"), "--device", "cpu"]) == 0
    call = metamer.load(runs[name], device="cpu")
    for path in inputs:
        stem = path.name.removesuffix("_real_A.png")
        on_page = np.asarray(Image.open(images / f"{stem}_fake_B.png"))
        assert on_page.shape == (*SIZES[stem], 3)
        assert np.array_equal(on_page, np.asarray(Image.open(tmp_path / "out" / path.name)))
        assert np.array_equal(on_page, np.asarray(call(path)))
        assert np.array_equal(on_page, call(np.asarray(Image.open(path))))


def test_a_size_given_in_a_test_need_not_fit_the_network(runs, photos):
    size = ("--preprocess", "resize", "--load_size", "50,70", "--crop_size", "50,70")
    results = quiet(translate, photos / "pairs", photos, *size, name="pix2pix")
    assert {Image.open(path).size for path in (results / "images").glob("*_fake_B.png")} == {(70, 50)}


def test_stargan_translates_any_size():
    from models.networks import StarGANGenerator

    net = StarGANGenerator(4, 2, 1)
    with torch.no_grad():
        for size in ((30, 41), (1, 9)):
            assert net(torch.zeros(1, 3, *size), torch.zeros(1, 2)).shape == (1, 3, *size)
