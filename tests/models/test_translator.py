"""Translator: the same numbers as test.py, for every type and size of image, from several threads."""

import contextlib
import io
import threading

import numpy as np
import pytest
import torch
from PIL import Image
from test_programs import CYCLE_GAN, PIX2PIX, ROOT, paired, picture, train, translate, unpaired  # noqa: F401

import metamer
from util.errors import InputError

SMALL_CUT = ("--model", "cut", "--netG", "resnet_4blocks", "--netF_nc", "8", "--num_patches", "8")
UNET = ("--netG", "unet_128", "--load_size", "128", "--crop_size", "128", "--norm", "batch")


def noise(height=32, width=32, channels=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Folders of small trained runs by the name of their model."""
    folder = tmp_path_factory.mktemp("translator")
    for side in ("trainA", "trainB", "testA", "testB"):
        for i in range(2):
            picture(folder / "photos" / side / f"{i}.png", 32, 32, seed=i + 10 * side.endswith("B"))
    for phase in ("train", "test"):
        for i in range(2):
            picture(folder / "pairs" / phase / f"{i}.png", width=64, height=32, seed=i)
    with contextlib.redirect_stdout(io.StringIO()):
        small = [*CYCLE_GAN[4:]]
        return {
            "cycle_gan": train(folder / "photos", folder, *CYCLE_GAN, name="cycle_gan"),
            "cut": train(folder / "photos", folder, *SMALL_CUT, "--nce_layers", "0,4", *small, name="cut"),
            "pix2pix": train(folder / "pairs", folder, *PIX2PIX, *UNET, name="pix2pix"),
            "folder": folder,
        }


def pages_of(runs, name, data, *words):
    """The pictures that test.py writes for a run, by file name."""
    folder = runs["folder"]
    with contextlib.redirect_stdout(io.StringIO()):
        results = translate(folder / data, folder, *words, name=name)
    return {path.name: np.asarray(Image.open(path)) for path in (results / "images").glob("*.png")}


@pytest.mark.parametrize("name", ["cycle_gan", "cut"])
def test_a_call_gives_the_pixels_of_the_result_page(runs, name):
    pages = pages_of(runs, name, "photos")
    call = metamer.load(runs[name], device="cpu")
    for i in range(2):
        result = call(runs["folder"] / "photos" / "testA" / f"{i}.png")
        assert np.array_equal(np.asarray(result), pages[f"{i}_fake_B.png"])


def test_dropout_is_the_same_in_a_call_and_in_a_test(runs):
    pages = pages_of(runs, "pix2pix", "pairs", "--preprocess", "resize", "--load_size", "128", "--crop_size", "128")
    call = metamer.load(runs["pix2pix"], device="cpu")
    for i in range(2):
        result = call(pages[f"{i}_real_A.png"])
        assert np.array_equal(result, pages[f"{i}_fake_B.png"])
    before = torch.get_rng_state()
    call(noise())
    assert torch.equal(torch.get_rng_state(), before)  # the caller's own random numbers are not touched


def test_the_other_direction_uses_the_other_generator(runs):
    pages = pages_of(runs, "cycle_gan", "photos")
    call = metamer.load(runs["cycle_gan"], direction="BtoA", device="cpu")
    result = call(np.asarray(Image.open(runs["folder"] / "photos" / "testB" / "1.png")))
    assert np.array_equal(result, pages["1_fake_A.png"])
    with pytest.raises(InputError, match="trained AtoB only"):
        metamer.load(runs["cut"], direction="BtoA", device="cpu")
    with pytest.raises(InputError, match="choose AtoB or BtoA"):
        metamer.load(runs["cut"], direction="both", device="cpu")


@pytest.mark.parametrize("name", ["cycle_gan", "cut", "pix2pix"])
@pytest.mark.parametrize("size", [(32, 32), (37, 50), (1, 1), (3, 70), (129, 5)])
def test_images_of_any_size_keep_their_size(runs, name, size):
    call = metamer.load(runs[name], device="cpu")
    image = noise(*size)
    assert call(image).shape == image.shape and call(image).dtype == np.uint8
    assert call(Image.fromarray(image)).size == (size[1], size[0])
    assert call(torch.zeros(2, 3, *size)).shape == (2, 3, *size)
    assert call(torch.zeros(3, *size)).shape == (3, *size)


@pytest.mark.parametrize("name", ["cycle_gan", "pix2pix"])
def test_a_list_gives_what_each_image_gives_alone(runs, name):
    call = metamer.load(runs[name], device="cpu")
    images = [noise(seed=1), noise(seed=2), noise(20, 24, seed=3), noise(seed=4)]
    for batch_size in (None, 1, 2, 5):
        for result, image in zip(call(images, batch_size=batch_size), images, strict=True):
            assert np.abs(result.astype(int) - call(image)).max() <= 1  # batches differ by rounding
    assert call([]) == []


def test_several_threads_share_a_translator(runs):
    for name in ("cycle_gan", "pix2pix"):
        call = metamer.load(runs[name], device="cpu")
        images = [noise(32, 32 + 4 * i, seed=i) for i in range(6)]
        wanted, found = [call(image) for image in images], [None] * len(images)

        def work(i, call=call, images=images, found=found):
            found[i] = call(images[i])

        threads = [threading.Thread(target=work, args=(i,)) for i in range(len(images))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(np.array_equal(a, b) for a, b in zip(wanted, found, strict=True))


def test_a_call_does_not_change_the_model(runs):
    call = metamer.load(runs["cycle_gan"], device="cpu")
    before = {name: id(value) for name, value in vars(call.model).items()}
    call(noise())
    assert {name: id(value) for name, value in vars(call.model).items()} == before


def test_the_error_for_wrong_input_states_the_expected_types(runs):
    call = metamer.load(runs["cut"], device="cpu")
    with pytest.raises(TypeError, match="numpy array"):
        call(5)
    with pytest.raises(ValueError, match="one target only"):
        call(noise(), target="Blond_Hair")
    with pytest.raises(ValueError, match="batch_size"):
        call([noise()], batch_size=0)


def test_the_error_for_a_missing_run_lists_existing_runs(runs, tmp_path):
    with pytest.raises(InputError, match=r"there are cut, cycle_gan, pix2pix.*did you mean 'cycle_gan'"):
        metamer.load(runs["folder"] / "runs" / "cyclegan")
    with pytest.raises(InputError, match="no trained run"):
        metamer.load(tmp_path)
    with pytest.raises(InputError, match="latest_net_G_A.pth: is a file; give the folder of a run"):
        metamer.load(runs["cycle_gan"] / "latest_net_G_A.pth")
    with pytest.raises(InputError, match="7_net_G_A.pth"):
        metamer.load(runs["cycle_gan"], epoch=7, device="cpu")


def test_loading_prints_nothing(runs, capsys):
    metamer.load(runs["cut"], device="cpu")
    assert capsys.readouterr().out == ""
