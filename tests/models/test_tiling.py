"""Large images in tiles: equal to the whole image or smooth at borders, with limited memory."""

import contextlib
import io
import itertools
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from PIL import Image
from scripts.runs import CUT, CYCLE_GAN, PIX2PIX, SMALL, STARGAN, make_run
from test_programs import ROOT

import metamer
from models import networks
from models.multi_domain import MultiDomainModel
from models.reach import reach
from models.tiling import Tiling
from util.errors import InputError, Notice

SMALL_STARGAN = (*STARGAN, "--d_conv_dim", "4", "--g_repeat_num", "2", "--image_size", "64")


@pytest.fixture(scope="module")
def load(tmp_path_factory):
    """load(words) -> the Translator of a run with large random weights, so that results depend on them."""
    folder, known = tmp_path_factory.mktemp("tiles"), {}

    def load(*words):
        if words not in known:
            call = metamer.load(
                make_run(folder, *words, name=f"run{len(known)}", small=SMALL if "stargan" not in words else SMALL[4:]),
                device="cpu",
            )
            generator = torch.Generator().manual_seed(0)
            for net in call.model.networks_by_name().values():
                for module in net.modules():
                    if isinstance(module, torch.nn.Conv2d | torch.nn.ConvTranspose2d):
                        module.weight.data = torch.randn(module.weight.shape, generator=generator) * 0.1
            known[words] = call
        return known[words]

    return load


def picture(height, width, seed=0):
    """Smooth areas of different colours with some noise: tiles normalised by their own statistics would differ."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)).resize((width, height), Image.BICUBIC)
    return (np.asarray(coarse) * 0.8 + rng.integers(0, 50, (height, width, 3))).astype(np.uint8)


def as_tensor(image):
    return torch.from_numpy(image.astype(np.float32)).permute(2, 0, 1)[None] / 127.5 - 1


@pytest.mark.parametrize("size", [(100, 118), (75, 41)])
def test_tiles_equal_the_whole_image_in_float64(load, size):
    call = load(*CYCLE_GAN)
    call.model.netG_A.double()
    try:
        images = as_tensor(picture(*size)).double()
        whole = call.first_of(images, {})
        tiled = torch.cat([made for _, made in _rows(call, images, Tiling(64, 60))], dim=2)
        assert tiled.shape == whole.shape and (tiled - whole).abs().max() < 1e-10
        own = torch.cat([call.first_of(part, {}) for part in images.split(64, dim=2)], dim=2)
        assert (own - whole).abs().max() > 0.1  # tiles with their own statistics give another result
    finally:
        call.model.netG_A.float()
        call._in_tiles._model = None


def _rows(call, images, tiling):
    from models.tiling import TiledModel

    tiled = TiledModel(call.model)

    def run(window):
        return call.first_of(window, {}, tiled.model)

    return tiled.translate(lambda rows, columns: images[..., rows, columns], tuple(images.shape[2:]), tiling, run)


@pytest.mark.parametrize("words", [CYCLE_GAN, CUT, SMALL_STARGAN, (*CYCLE_GAN, "--norm", "batch")])
def test_tiles_equal_the_whole_image_for_every_norm_in_float32(load, words):
    call = load(*words)
    images = as_tensor(picture(70, 120))
    target = {"target": "Male"} if words is SMALL_STARGAN else {}
    whole = call(images, **target)
    assert (call(images, tile=64, tile_overlap=76, **target) - whole).abs().max() < 1e-3
    assert torch.equal(call(images, tile=200, **target), whole)  # no larger than a tile


@pytest.mark.parametrize("words", [CYCLE_GAN, CUT, SMALL_STARGAN])
def test_the_default_overlap_is_the_radius_that_the_network_needs(load, words):
    call = load(*words)
    images = as_tensor(picture(40, 150))
    target = {"target": "Male"} if words is SMALL_STARGAN else {}
    with warnings.catch_warnings():
        warnings.simplefilter("error", Notice)
        tiled = call(images, tile=48, **target)
    assert (tiled - call(images, **target)).abs().max() < 1e-3


@pytest.mark.parametrize(
    ("words", "radius"),
    [
        (("resnet_4blocks", True), 44),
        (("resnet_6blocks", True), 60),
        (("resnet_9blocks", True), 84),
        (("resnet_6blocks", False), 69),
        (("unet_128", True), None),
    ],
)
def test_the_reach_is_the_radius_of_the_receptive_field(words, radius):
    name, plain = words
    torch.manual_seed(0)  # other weights may be zero behind their ReLU
    net = networks.define_G(3, 3, 2, name, norm="instance", no_antialias=plain, no_antialias_up=plain)
    found = reach(net, (torch.zeros(1, 3, 8, 8),))
    assert found is None if radius is None else radius <= found <= radius + 3
    if radius is not None:  # a change at this distance does not reach the pixel; a change a little nearer does
        with torch.no_grad():
            net = without_norms(net).double()
            for distance, touches in ((found + 1, False), (radius - 4, True)):
                images = torch.zeros(2, 3, 16, 512, dtype=torch.float64)
                images[1, :, :, 256 + distance :] = 1
                made = net(images)
                assert (made[0, ..., 256] != made[1, ..., 256]).any() == touches


def without_norms(net):
    for module in list(net.modules()):
        for name, part in module.named_children():
            if isinstance(part, torch.nn.InstanceNorm2d):
                setattr(module, name, torch.nn.Identity())
    return net


@pytest.mark.parametrize(
    ("words", "overlap", "said"),
    [
        (CYCLE_GAN, 16, "tile_overlap 16: the generator needs 64"),
        (PIX2PIX, None, "depend on pixels more than 256 away"),
        (PIX2PIX, None, "dropout draws other numbers in each tile"),
    ],
)
def test_a_result_that_is_not_exact_gives_a_notice(load, words, overlap, said):
    with pytest.warns(Notice, match=said):
        load(*words)(picture(150, 140), tile=128, tile_overlap=overlap)


def test_attributes_are_predicted_for_the_whole_image_and_not_in_each_tile(load, monkeypatch):
    call, seen = load(*SMALL_STARGAN), []
    own = MultiDomainModel.attributes_for

    def counted(self, images, targets):
        seen.append(tuple(images.shape[2:]))
        return own(self, images, targets)

    monkeypatch.setattr(MultiDomainModel, "attributes_for", counted)
    call._in_tiles._reaches[None] = 50  # measuring it runs the model once
    call(picture(100, 150), target="Male", tile=64)
    assert seen == [(100, 150)]
    whole = call(picture(100, 150), target="Male")
    call._in_tiles._reaches.clear()
    assert np.abs(call(picture(100, 150), target="Male", tile=64).astype(int) - whole).max() <= 1


def test_arrays_pil_images_and_lists_are_translated_in_tiles(load):
    call = load(*CYCLE_GAN)
    image = picture(70, 100)
    whole = call(image)
    tiled = call(image, tile=64)
    assert tiled.dtype == np.uint8 and np.abs(tiled.astype(int) - whole).max() <= 1
    assert np.array_equal(np.asarray(call(Image.fromarray(image), tile=64)), tiled)
    both = call([image, image[:50, :50]], tile=64)
    assert np.array_equal(both[0], tiled) and np.array_equal(both[1], call(image[:50, :50]))
    deep = image.astype(np.uint16) * 257
    assert np.abs(call(deep, tile=64).astype(int) - call(deep)).max() <= 30


def test_borders_of_tiles_with_a_small_overlap_are_smooth(load):
    """Steps at the borders of tiles are not larger than steps elsewhere."""
    call = load(*CYCLE_GAN)
    y, x = np.mgrid[:192, :256]
    image = np.stack([x / 2, y, (x + y) / 3], axis=-1).astype(np.uint8)
    tiled = call(as_tensor(image), tile=64, tile_overlap=16)[0]
    whole = call(as_tensor(image))[0]
    steps = (tiled[:, 1:] - tiled[:, :-1]).abs().amax((0, 2))
    borders = [row + step for row in (63, 127) for step in (-1, 0, 1)]
    assert steps[borders].max() <= 1.5 * (whole[:, 1:] - whole[:, :-1]).abs().max()


def test_statistics_of_a_sample_of_tiles_are_close(load):
    call = load(*CYCLE_GAN)
    rng = np.random.default_rng(0)
    images = as_tensor(rng.integers(0, 256, (256, 256, 3), dtype=np.uint8))
    whole = call(images)
    few = call(images, tile=64, tile_samples=4)
    alone = torch.cat([call(part) for part in images.split(64, dim=2)], dim=2)
    assert 0 < (few - whole).abs().mean() < 0.2 and few.shape == alone.shape


def test_a_unet_is_translated_in_tiles(load):
    call = load(*PIX2PIX)
    image = picture(300, 200)
    assert call(image, tile=128, tile_overlap=32).shape == image.shape


def test_calls_without_tiles_are_not_affected(load):
    import threading

    call = load(*CYCLE_GAN)
    image = picture(70, 100)
    wanted, found = (call(image), call(image, tile=64)), {}

    def work(i):
        found[i] = call(image, tile=64 if i % 2 else None)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(found[i], wanted[i % 2]) for i in range(4))


@pytest.mark.parametrize(
    "words", [{"tile": 8}, {"tile": "64"}, {"tile": 64, "tile_overlap": -1}, {"tile": 64, "tile_samples": 0}]
)
def test_sizes_of_tiles_are_checked(load, words):
    with pytest.raises(InputError, match="expected a whole number of"):
        load(*CYCLE_GAN)(picture(100, 100), **words)


def test_spans_cover_an_axis_once():
    for side, tile, overlap, multiple in ((1000, 128, 30, 4), (129, 64, 0, 4), (7, 64, 8, 4), (700, 100, 64, 128)):
        spans = Tiling(tile, overlap).spans(side, multiple)
        assert spans[0].start == spans[0].first == 0 and spans[-1].stop == spans[-1].last == side
        assert all(a.stop == b.start for a, b in itertools.pairwise(spans))
        assert all(span.first % multiple == 0 for span in spans)


def test_tiles_in_a_test_and_in_translate_py(tmp_path):
    import test as test_program
    from scripts.translate import main

    run = make_run(tmp_path / "runs", *CYCLE_GAN, "--preprocess", "none")
    (tmp_path / "photos" / "testA").mkdir(parents=True)
    Image.fromarray(picture(90, 150)).save(tmp_path / "photos" / "testA" / "a.png")
    tiles = ("--tile", "64", "--tile_overlap", "60", "--device", "cpu")
    with contextlib.redirect_stdout(io.StringIO()):
        where = [
            "--dataroot",
            tmp_path / "photos",
            "--checkpoints_dir",
            run.parent,
            "--results_dir",
            tmp_path / "results",
        ]
        test_program.main([*map(str, where), "--name", "run", "--num_threads", "0", *tiles])
        assert main([str(run), str(tmp_path / "photos" / "testA"), "--output", str(tmp_path / "out"), *tiles]) == 0
    images = tmp_path / "results" / "run" / "test_latest" / "images"
    on_page = np.asarray(Image.open(images / "a_fake_B.png"))
    assert np.array_equal(on_page, np.asarray(Image.open(tmp_path / "out" / "a.png")))
    whole = metamer.load(run, device="cpu")(picture(90, 150))
    assert np.abs(on_page.astype(int) - whole).max() <= 1


MEASURE = """
import sys
sys.path.insert(0, {root!r})
import metamer
from util.numerics.memory import peak_of_main_memory
call = metamer.load({run!r}, device="cpu")
from PIL import Image
import numpy as np
image = np.zeros(({side}, {side}, 3), np.uint8)
call(image[:300, :300], tile=128)
before = peak_of_main_memory()
call(image, tile={tile}, tile_samples=1)
print(peak_of_main_memory() - before)
"""


@pytest.mark.slow
def test_memory_depends_on_the_size_of_the_tile(tmp_path):
    run = make_run(tmp_path, *CYCLE_GAN)

    def growth(tile, side=2048):
        program = MEASURE.format(root=str(ROOT), run=str(run), side=side, tile=tile)
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        return int(done.stdout) / 2**20  # MiB

    whole, tiled = growth(4096), growth(256)
    assert tiled < 100 and whole > 3 * tiled, (tiled, whole)


TRANSLATE = """
import sys
sys.path.insert(0, {root!r})
from scripts.translate import main
from util.numerics.memory import peak_of_main_memory
main([{run!r}, {image!r}, "--output", {out!r}, "--tile", "512", "--tile_samples", "1", "--device", "cpu"])
print(peak_of_main_memory())
"""


@pytest.mark.slow
def test_a_large_file_takes_few_bytes_for_a_pixel(tmp_path):
    """As 8-bit RGB a pixel has 3 bytes, in PIL 4, as floating point 12; the file is read, translated and written."""
    run = make_run(tmp_path, *CUT)

    def peak(side):
        image = tmp_path / f"{side}.png"
        Image.new("RGB", (side, side), "orange").save(image)
        words = {"root": str(ROOT), "run": str(run), "image": str(image), "out": str(tmp_path / "out")}
        program = TRANSLATE.format(**words)
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        return int(done.stdout.split()[-1])

    assert peak(4000) - peak(1000) < 20 * (4000**2 - 1000**2)
