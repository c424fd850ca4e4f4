"""Names of results: all images of a batch are written, names are unique and stay inside the page's folder."""

import os
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from util.html import HTML
from util.show.results import clean_name
from util.visualizer import save_images

DATA = os.path.join(os.sep, "data")


def batch(*values):
    return torch.stack([torch.full((3, 4, 6), float(value)) for value in values])


@pytest.fixture
def page(tmp_path):
    return HTML(str(tmp_path / "page"), "t")


def files(page):
    return sorted(path.relative_to(page.img_dir).as_posix() for path in Path(page.img_dir).rglob("*") if path.is_file())


def colour(path):
    with Image.open(path) as image:
        return image.getpixel((0, 0))[0]


def save(page, *paths, visuals=None, root=DATA, **how):
    paths = [os.path.join(DATA, path) for path in paths]
    return save_images(page, visuals or {"fake_B": batch(*[0] * len(paths))}, paths, root=root, **how)


def test_all_images_of_a_batch_are_written_and_listed(page):
    visuals = {"real_A": batch(-1, 0, 1), "fake_B": batch(1, 0, -1)}
    written = save(page, "a.jpg", "b.jpg", "c.jpg", visuals=visuals)
    assert [os.path.basename(path) for path in written] == [
        f"{stem}_{label}.png" for stem in "abc" for label in ("real_A", "fake_B")
    ]
    assert [colour(path) for path in written] == [0, 255, 128, 128, 255, 0]
    source = Path(page.path).read_text()
    assert source.count("<section>") == 3 and source.count("<img") == 6
    assert all(f"images/{name}" in source for name in files(page))


def test_one_folder_per_label(page):
    save(page, "sub/a.jpg", visuals={"real_A": batch(0), "fake_B": batch(0)}, layout="folders")
    assert files(page) == ["fake_B/sub/a.png", "real_A/sub/a.png"]
    assert 'href="images/fake_B/sub/a.png"' in Path(page.path).read_text()


def test_subfolders_of_the_data_stay_apart(page):
    save(page, "x/a.jpg", "y/a.jpg", "a.jpg")
    assert files(page) == ["a_fake_B.png", "x/a_fake_B.png", "y/a_fake_B.png"]


def test_without_a_root_file_names_are_used_and_nothing_is_overwritten(page):
    save(page, "x/a.jpg", "y/a.jpg", "z/a.jpg", root=None)
    assert files(page) == ["a_2_fake_B.png", "a_fake_B.png", "a_jpg_fake_B.png"]


def test_the_deepest_root_is_used(page):
    roots = [DATA, *(os.path.join(DATA, folder) for folder in ("test", "testA", "valB"))]
    save(page, "testA/1.jpg", "valB/2.jpg", "test/s/3.jpg", "other/4.jpg", root=roots)
    assert files(page) == ["1_fake_B.png", "2_fake_B.png", "other/4_fake_B.png", "s/3_fake_B.png"]


def test_a_file_outside_every_root_gives_its_file_name(page):
    save(page, "a.jpg", root=[DATA + "2", os.path.join(DATA, "deeper")])
    assert files(page) == ["a_fake_B.png"]


@pytest.mark.parametrize("layout", ["flat", "folders"])
def test_equal_stems_are_distinguished_by_their_extension(page, layout):
    written = save(page, "a.jpg", "a.png", layout=layout, visuals={"fake_B": batch(-1, 1)})
    assert len(set(written)) == 2
    assert [colour(path) for path in written] == [0, 255]
    assert "a_png" in written[1]


def test_the_same_image_again_gets_a_number(page):
    for _ in range(4):
        save(page, "a.jpg")
    assert files(page) == ["a_2_fake_B.png", "a_3_fake_B.png", "a_fake_B.png", "a_jpg_fake_B.png"]


def test_names_that_collide_after_joining_stem_and_label_are_distinguished(page):
    save(page, "a.jpg", "a_x.jpg", visuals={"x_y": batch(0, 0), "y": batch(0, 0)})
    assert len(files(page)) == 4


HOSTILE = ["../../up.png", "/etc/passwd.png", "....png", "a\nb.png", "#%? <script>.png", "..", "", "é" * 200 + ".png"]


@pytest.mark.skipif(os.name != "posix", reason="such names don't exist on this system")
@pytest.mark.parametrize("layout", ["flat", "folders"])
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_stay_inside_the_image_folder(page, tmp_path, name, layout):
    label = "../fake/B" if layout == "flat" else ".."
    for root in (None, DATA, os.sep):
        for path in save_images(page, {label: batch(0)}, [name], layout=layout, root=root):
            assert Path(path).resolve().is_relative_to(Path(page.img_dir).resolve())
            assert Path(path).is_file()
    everything = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(everything) == 3 + 2  # three pictures, the page and its style
    assert "<script" not in Path(page.path).read_text()


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("fake_B", "fake_B"),
        ("a/b\\c", "a_b_c"),
        ("..", "__"),
        (".", "_"),
        ("", "_"),
        ("a\x00\n", "a__"),
        ("..a", "..a"),
    ],
)
def test_clean_name_replaces_unsafe_characters(text, name):
    assert clean_name(text) == name


def test_a_numpy_image_belongs_to_the_first_path(page):
    visuals = {"gray": batch(0, 0), "colour": np.full((4, 6, 3), 9, np.uint8)}
    written = save(page, "a.jpg", "b.jpg", visuals=visuals)
    assert [os.path.basename(path) for path in written] == ["a_gray.png", "a_colour.png", "b_gray.png"]


def test_numpy_batches_and_single_tensors_work(page):
    visuals = {"many": np.stack([np.full((4, 6, 3), value, np.uint8) for value in (1, 2)]), "one": torch.ones(3, 4, 6)}
    written = save(page, "a.jpg", "b.jpg", visuals=visuals)
    assert [colour(path) for path in written] == [1, 255, 2]


def test_more_images_than_paths_are_numbered(page):
    assert len(save(page, "a.jpg", visuals={"x": batch(0, 0, 0)})) == 3
    assert len(files(page)) == 3
    assert len(save_images(page, {"x": batch(0)}, [])) == 1


def test_a_path_alone_is_a_batch_of_one(page):
    save_images(page, {"x": batch(0)}, "some/abc.jpg")
    assert files(page) == ["abc_x.png"]


def test_aspect_ratio_stretches_images_that_are_not_square(page):
    (path,) = save(page, "a.jpg", aspect_ratio=2.0)
    with Image.open(path) as image:
        assert image.size == (12, 4)
    assert 'height="85"' in Path(page.path).read_text()  # 256 * 4 / 12


def test_images_are_written_before_the_page_lists_them(page, monkeypatch):
    monkeypatch.setattr("util.show.results.save_image", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        save(page, "a.jpg")
    assert "<img" not in Path(page.path).read_text()


def test_wandb_gets_the_results_if_a_run_is_active(page, monkeypatch):
    logged = []
    wandb = types.SimpleNamespace(run=object(), Image=lambda picture: picture.shape, log=logged.append)
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    save(page, "a.jpg", use_wandb=True)
    assert logged == [{"fake_B": (4, 6, 3)}]
