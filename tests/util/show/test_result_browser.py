"""The result page in a browser: filter, sort, compare and zoom, by mouse and keyboard, from disk."""

import json
import os
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
from browser import chromium, violations, visit  # noqa: F401
from PIL import Image

from util.show.page_files import DataFile, image_url, roles, write_page
from util.show.result_page import ResultPage, folder_of, show_metrics

HOSTILE = ["<img src=x onerror=alert(1)>", "\"onclick='alert(2)'", "a#b%20?c&d", "</script><script>alert(3)</script>"]
LABELS = ["real_A", "fake_B", "real_B"]


def fake_results(folder, names, labels=LABELS, size=8):
    """A results folder whose images share a few files, for fast tests of a page with thousands of images."""
    write_page(str(folder), "results.html", "run: test latest")
    (folder / "images").mkdir(parents=True)
    files = {}
    for number, label in enumerate(labels):
        pixels = np.zeros((size, size, 3), np.uint8)
        pixels[:, : size // 2] = 40 * number + 60
        files[label] = f"{label}.png"
        Image.fromarray(pixels).save(folder / "images" / files[label])
    items = DataFile(str(folder), "items.js")
    for name in names:
        items.append("item", name, {label: image_url(file) for label, file in files.items()}, [size, size])
    items.append("describe", {"facts": ["a test"], "labels": labels, "roles": roles(labels, True)})
    images = {name: {"psnr": float(number % 97)} for number, name in enumerate(names)}
    metric = {"value": 48.0, "interval": [47.0, 49.0], "provenance": {"implementation": "metamer", "samples": 9}}
    (folder / "metrics.json").write_text(json.dumps({"metrics": {"psnr": metric}, "images": images}))
    show_metrics(str(folder))
    return folder / "index.html"


@pytest.fixture(scope="module")
def thousands(tmp_path_factory):
    names = [f"photo_{number}" for number in range(2000)] + HOSTILE
    return fake_results(tmp_path_factory.mktemp("thousands"), names)


@pytest.fixture
def page(chromium, thousands):  # noqa: F811
    with visit(chromium, thousands) as page:
        page.wait_for_selector(".card img")
        yield page


def shown_names(page):
    return page.eval_on_selector_all(".card .name", "names => names.map(name => name.textContent)")


def test_only_the_images_near_the_screen_are_in_the_document(page):
    assert page.inner_text("#count") == "2004 images"
    assert 4 < page.locator(".card").count() < 120
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    page.wait_for_function(
        "[...document.querySelectorAll('.card .name')].some(name => name.textContent.startsWith('a#b'))"
    )
    assert "photo_0" not in shown_names(page) and page.locator(".card").count() < 120
    top = page.evaluate("document.getElementById('heading').getBoundingClientRect().top")
    assert 0 <= top < 120  # the column names stay visible


def test_filter_sort_and_histogram(page):
    page.keyboard.press("/")
    page.keyboard.type("photo_19")
    assert page.inner_text("#count") == "111 of 2004 images"
    page.fill("#filter", "nothing has this name")
    assert page.is_visible("#nothing") and page.locator(".card").count() == 0
    page.click("#clear")
    page.select_option("#sort", "psnr")
    assert shown_names(page)[0] == "photo_0"
    page.click("#order")
    assert shown_names(page)[0].startswith("photo_") and "psnr 96" in page.inner_text(".card >> nth=0")
    page.select_option("#sort", "name")
    page.click("#order")
    assert shown_names(page)[1].startswith(("<", '"', "a#")) or shown_names(page)[0].startswith(("<", '"'))
    page.click(".bars button >> nth=0")
    assert page.inner_text("#count") == "84 of 2004 images"  # 4 of 97 values, 21 images each
    page.click(".bars button >> nth=0")
    assert page.inner_text("#count") == "2004 images"
    assert "48.00" in page.inner_text(".tile") and "47.00 to 49.00" in page.inner_text(".tile")
    page.click(".tile summary")
    assert "implementation" in page.inner_text(".tile dl")


def test_slider_blink_difference(page):
    page.click(".card >> nth=1")
    assert page.inner_text("#viewer-name") == "photo_1" and page.locator(".pane").count() == 3
    page.keyboard.press("2")
    box = page.locator(".pane").bounding_box()
    handle = page.locator(".handle").bounding_box()
    page.mouse.move(handle["x"] + handle["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 4, box["y"] + box["height"] / 2, steps=4)
    page.mouse.up()
    at = float(page.evaluate("parseFloat(document.querySelector('.pane').style.getPropertyValue('--at'))"))
    assert at == pytest.approx(25, abs=1)
    page.click("text=output | truth")
    assert [page.input_value(f"#viewer select >> nth={n}") for n in (0, 1)] == ["fake_B", "real_B"]
    page.keyboard.press("3")
    visible = "[...document.querySelectorAll('.pane img')].map(image => image.style.visibility)"
    page.click(".blink-only button")  # pause
    before = page.evaluate(visible)
    page.locator(".blink-only button").evaluate("button => button.blur()")
    page.keyboard.press("Space")
    assert page.evaluate(visible) == before[::-1]
    page.keyboard.press("4")
    assert page.evaluate("getComputedStyle(document.querySelectorAll('.pane img')[1]).mixBlendMode") == "difference"


def test_the_difference_is_that_of_the_pixels(page):
    """fake_B and real_B differ by 40 in their left halves, and not at all in their right halves."""
    page.click(".card >> nth=0")
    page.keyboard.press("4")
    page.click("text=output | truth")
    page.uncheck("#viewer input[type=checkbox]")
    page.select_option(".difference-only select", "1")
    box = page.locator(".pane").bounding_box()
    side = min(box["width"], box["height"])
    page.wait_for_timeout(100)
    shot = page.screenshot(path=None)
    import io

    pixels = np.asarray(Image.open(io.BytesIO(shot)).convert("RGB"))
    row, middle = int(box["y"] + box["height"] / 2), box["x"] + box["width"] / 2
    assert abs(int(pixels[row, int(middle - side / 4), 0]) - 40) <= 1
    assert pixels[row, int(middle + side / 4)].max() <= 1


def test_zoom_and_move_all_pictures_together(page):
    page.click(".card >> nth=0")
    box = page.locator(".pane >> nth=1").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.wheel(0, -500)
    page.wait_for_function("document.querySelector('.zoomed').style.transform.includes('scale(2.7')")
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2 + 60, box["y"] + box["height"] / 2, steps=3)
    page.mouse.up()
    moved = page.eval_on_selector_all(".zoomed", "layers => layers.map(layer => layer.style.transform)")
    assert len(set(moved)) == 1 and len(moved) == 3 and not moved[0].startswith("translate(0%")
    page.keyboard.press("0")
    assert page.evaluate("document.querySelector('.zoomed').style.transform").endswith("scale(1)")


def test_every_control_can_be_used_by_keyboard(page):
    page.locator(".card button >> nth=0").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.inner_text("#viewer-name") == "photo_1"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.inner_text("#viewer-name") == "photo_3"
    assert "#image=photo_3" in page.url
    page.keyboard.press("Escape")
    assert not page.is_visible("#viewer")
    # The browser first moves the focus back to the card that opened the viewer; the page moves it in a later event.
    page.wait_for_function("document.activeElement.closest('.card')?.dataset.index === '3'")


def test_an_address_opens_the_same_image(chromium, thousands):  # noqa: F811
    with visit(chromium, thousands.as_uri() + "#filter=photo&sort=psnr&order=down&image=photo_96") as page:
        page.wait_for_selector("#viewer[open]")
        assert page.inner_text("#viewer-name") == "photo_96"
        page.keyboard.press("Escape")
        assert page.input_value("#filter") == "photo" and page.input_value("#sort") == "psnr"


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)])
def test_contrast_and_names_of_controls(chromium, tmp_path, width, dark):  # noqa: F811
    few = fake_results(tmp_path / "page", ["a", "b", *HOSTILE])
    with visit(chromium, few, width=width, dark=dark) as page:
        page.wait_for_selector(".card img")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert violations(page) == []
        page.click(".card >> nth=0")
        for mode in "1234":
            page.keyboard.press(mode)
            assert violations(page, "#viewer") == []


def test_real_results_with_hostile_names(chromium, tmp_path):  # noqa: F811
    opt = Namespace(
        results_dir=str(tmp_path), name="run <b>", phase="test", epoch="latest", load_iter=0, aspect_ratio=2.0,
        display_winsize=64, results_layout="flat", num_test=9, model="cycle_gan", direction="AtoB",
    )  # fmt: skip
    page = ResultPage(opt, len(HOSTILE), [])
    import torch

    for name in HOSTILE:
        visuals = {label: torch.zeros(1, 3, 16, 16) for label in ("real_A", "fake_B", "rec_A")}
        page.add(visuals, [os.path.join("photos", name.replace("/", "_") + ".jpg")], 1)
    page.close()
    with visit(chromium, Path(folder_of(opt), "index.html")) as page:
        page.wait_for_selector(".card img")
        assert page.inner_text("h1") == "run <b>: test latest"
        assert page.locator(".card img").count() == 2 * len(HOSTILE)  # rec_A is hidden at first
        page.click("#columns >> text=rec_A")
        assert page.locator(".card img").count() == 3 * len(HOSTILE)
        page.wait_for_function("[...document.images].every(image => image.complete && image.naturalWidth === 32)")
        page.click(".card >> nth=0")
        assert page.inner_text("#viewer-name") == HOSTILE[0]
    with visit(chromium, Path(folder_of(opt), "index.html"), scripts=False) as page:
        page.wait_for_url("**/plain.html")
        assert page.locator("img").count() == 3 * len(HOSTILE)


def test_a_print_of_the_page_lists_the_images(page):
    page.fill("#filter", "photo_5")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator(".card").count() == 111
    page.emulate_media(media="print")
    assert page.locator(".card").first.locator(".labels").inner_text().split() == LABELS
    assert page.locator(".card img").first.is_visible() and page.locator(".bars button").first.is_visible()
    assert not page.locator("#filter").is_visible()
    page.locator(".card > button").first.focus()
    page.keyboard.press("Tab")  # a focus that shows
    outlines = page.eval_on_selector_all(".card > button", "all => all.map(one => getComputedStyle(one).outlineWidth)")
    assert set(outlines) == {"0px"}
    page.emulate_media(media="screen")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator(".card").count() < 111
