"""The training page in a browser: curves, epochs, options, and updates of a running training."""

import re
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
from browser import chromium, violations, visit  # noqa: F401

from util.show.log import loss_record
from util.show.training_page import TrainingPage, read_options

OPTIONS = """----------------- Options ---------------
                    model: pix2pix                       \t[default: cycle_gan]
                     name: run <b>
                       lr: 0.0002
----------------- End -------------------
"""


def picture(value):
    return np.full((8, 8, 3), value, np.uint8)


def make_page(folder, resumed=False, name="run <b>"):
    opt = Namespace(name=name, checkpoints_dir=str(folder), display_winsize=64, dataroot="my photos", model="pix2pix")
    (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / name / "train_opt.txt").write_text(OPTIONS)
    return TrainingPage(str(folder / name / "web"), opt, resumed)


def add_epoch(page, epoch):
    for step in (1, 2):
        losses = {"G_GAN": 1 / epoch, "D <i>": float("nan") if epoch == 2 else 0.5}
        page.point(loss_record(epoch, step * 5, losses, 0.1, 0.02, epoch * 10 + step * 5, 10, 0.0002))
    page.evaluation({"images_seen": epoch * 10, "epoch": epoch, "x": float(epoch), "metrics": {"psnr": 20.0 + epoch}})
    page.pictures(epoch, {"real_A": picture(0), "fake_B": picture(epoch)})
    sample = {"real_A": picture(9), "fake_B": picture(20 * epoch % 256), "real_B": picture(99)}
    page.samples(epoch, [sample, sample], ["real_A", "real_B"])


@pytest.fixture
def page(tmp_path):
    page = make_page(tmp_path)
    for epoch in (1, 2, 3):
        add_epoch(page, epoch)
    return page


@pytest.fixture
def address(page):
    return page.plain.path.replace("plain.html", "index.html")


def sources(browser_page):
    return browser_page.eval_on_selector_all(".sample img", "images => images.map(image => image.getAttribute('src'))")


def test_curves_samples_epochs_and_options(chromium, address):  # noqa: F811
    with visit(chromium, address) as page:
        page.wait_for_selector("#losses svg")
        assert page.inner_text("h1") == "run <b>: training"
        assert [text.split()[0] for text in page.locator("#losses .legend button").all_inner_texts()] == ["D", "G_GAN"][
            ::-1
        ]
        titles = [text.strip() for text in page.locator("#charts h3").all_inner_texts()]
        assert titles == ["psnr", "learning rate", "seconds per image"]
        assert "epoch 3, 40 images seen" in page.inner_text("#now")
        assert sources(page)[:3] == [f"images/sample1_{name}.png" for name in ("real_A", "epoch003_fake_B", "real_B")]
        page.locator("#epoch").fill("0")
        assert sources(page)[1] == "images/sample1_epoch001_fake_B.png"
        page.click("#strip button >> nth=1")
        assert sources(page)[4] == "images/sample2_epoch002_fake_B.png"
        assert page.locator("#epochs h3").all_inner_texts() == ["epoch 3", "epoch 2", "epoch 1"]
        assert "--continue_train --dataroot 'my photos' --name 'run <b>'" in page.inner_text("#run pre >> nth=0")
        assert page.locator("#run tbody tr >> nth=0").all_inner_texts() == ["model\tpix2pix\tcycle_gan"]


def test_smoothing_raw_values_logarithm_and_hidden_curves(chromium, address):  # noqa: F811
    with visit(chromium, address) as page:
        page.wait_for_selector("#losses svg")
        curve = "[...document.querySelectorAll('#losses path')].map(path => path.getAttribute('d')).join()"
        linear = page.evaluate(curve)
        assert page.locator("#losses .raw").count() == 2 and page.locator("#losses .smooth").count() == 2
        page.uncheck("#raw")
        assert page.locator("#losses .raw").count() == 0
        page.check("#raw")
        page.check("#log")
        assert page.evaluate(curve) != linear
        page.click("#losses .legend button >> nth=0")
        assert page.locator("#losses .smooth").count() == 1
        page.hover("#losses svg")
        assert "at 1" in page.inner_text("#losses .legend")


def test_the_page_of_a_running_training_updates(chromium, page, address):  # noqa: F811
    with visit(chromium, address) as shown:
        shown.wait_for_selector("#losses svg")
        add_epoch(page, 4)
        shown.check("#live")
        shown.wait_for_function("document.getElementById('now').textContent.startsWith('epoch 4')")
        assert shown.locator("#epochs h3").first.inner_text() == "epoch 4"
        assert sources(shown)[1] == "images/sample1_epoch004_fake_B.png"  # the slider was at the newest epoch


def test_without_javascript_the_images_are_shown(chromium, address):  # noqa: F811
    with visit(chromium, address, scripts=False) as page:
        page.wait_for_url("**/plain.html")
        assert page.locator("img").count() == 6


@pytest.mark.parametrize(("width", "dark"), [(1280, True), (390, False)])
def test_contrast_and_names_of_controls(chromium, address, width, dark):  # noqa: F811
    with visit(chromium, address, width=width, dark=dark) as page:
        page.wait_for_selector("#charts svg")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert violations(page) == []


def test_an_update_costs_the_same_at_any_length(tmp_path):
    page = make_page(tmp_path)
    files = [page._points, page._pictures, page._samples]
    sizes = []
    for epoch in range(100, 140):
        before = [len(Path(file.path).read_bytes()) for file in files]
        add_epoch(page, epoch)
        sizes.append([len(Path(file.path).read_bytes()) - size for file, size in zip(files, before)])
    assert max(sizes[-1]) < 1500 and all(abs(last - first) < 60 for first, last in zip(sizes[0], sizes[-1]))
    again = [Path(file.path).read_bytes() for file in files[1:]]
    sample = {"real_A": picture(9), "fake_B": picture(1), "real_B": picture(99)}
    page.samples(139, [sample, sample], ["real_A", "real_B"])  # the picture is replaced, and the list is the same
    assert [Path(file.path).read_bytes() for file in files[1:]] == again


def test_a_page_of_an_earlier_version_is_taken_over(tmp_path):
    page = make_page(tmp_path, name="old")
    page.pictures(3, {"real_A": picture(0)})
    web = tmp_path / "old" / "web"
    (web / "plain.html").rename(web / "index.html")
    (web / "assets" / "pictures.js").unlink()
    (tmp_path / "old" / "loss_log.jsonl").write_text('{"epoch": 1, "x": 1.5, "losses": {"G": 1}}\n{"trunc')
    make_page(tmp_path, resumed=True, name="old").pictures(4, {"real_A": picture(0)})
    assert re.findall(r"epoch \[\d\]", (web / "plain.html").read_text()) == ["epoch [3]", "epoch [4]"]
    assert re.findall(r"pictures\((\d)", (web / "assets" / "pictures.js").read_text()) == ["3", "4"]
    assert (web / "assets" / "points.js").read_text().count("point(") == 1


def test_options_are_read_with_their_defaults(tmp_path):
    (tmp_path / "train_opt.txt").write_text(OPTIONS)
    options, changed = read_options(str(tmp_path / "train_opt.txt"))
    assert options == [["model", "pix2pix"], ["name", "run <b>"], ["lr", "0.0002"]]
    assert changed == [["model", "pix2pix", "cycle_gan"]]


def test_a_printed_page_has_samples_legends_and_the_epoch(chromium, address):  # noqa: F811
    with visit(chromium, address) as page:
        page.wait_for_selector(".sample img")
        page.emulate_media(media="print")
        for part in (".sample img", ".legend button", "#epoch-name", "#epochs img"):
            assert page.locator(part).first.is_visible(), part
        for part in ("#live", "#play", "#smoothing", "#strip"):
            assert not page.locator(part).is_visible(), part
