"""The check of image headers before training."""

import os
from types import SimpleNamespace

import pytest
from data_help import make_opt, save_tree
from PIL import Image

from data import find_dataset_using_name
from data.loading import headers
from util.errors import InputError


class Listed:
    def __init__(self, A_paths, B_paths):
        self.A_paths, self.B_paths = A_paths, B_paths

    def files(self):
        return self.A_paths + self.B_paths


@pytest.fixture
def dataset(tmp_path):
    paths = [tmp_path / f"{i}.png" for i in range(8)]
    for path in paths:
        Image.new("RGB", (4, 4)).save(path)
    return Listed([str(path) for path in paths], [str(paths[0])])


def test_each_file_is_listed_once(dataset):
    assert headers.files_of(dataset) == dataset.A_paths


def test_good_files_print_nothing(dataset, capsys):
    headers.check_headers(dataset)
    assert capsys.readouterr().out == ""


def test_bad_files_are_counted_and_the_first_are_named(dataset, capsys):
    for path in dataset.A_paths[:7]:
        with open(path, "w") as file:
            file.write("hello")
    with pytest.raises(InputError, match=r"7 of 8 images can't be read: .*0\.png: not an image.*; and 2 more"):
        headers.check_headers(dataset)
    headers.check_headers(dataset, skip_bad=True)
    assert "--skip_bad_images: 7 of 8" in capsys.readouterr().out


def test_errors_name_a_missing_file_and_a_decompression_bomb(dataset, tmp_path, monkeypatch):
    (tmp_path / "3.png").unlink()
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 4)
    with pytest.raises(InputError, match=r"too large.*3\.png: No such file"):
        headers.check_headers(dataset)


def test_the_check_ends_after_its_time_limit(dataset, monkeypatch, capsys):
    monkeypatch.setattr(headers, "SECONDS", -1)
    headers.check_headers(dataset)
    assert "headers of 0 of 8 images" in capsys.readouterr().out


def test_of_very_many_files_a_sample_is_checked(dataset, monkeypatch, capsys):
    monkeypatch.setattr(headers, "MOST", 3)
    headers.check_headers(dataset)
    assert "headers of 3 of 8 images" in capsys.readouterr().out


def test_a_dataset_without_files_is_not_checked():
    headers.check_headers(SimpleNamespace(pathways=3, opt=None))
    assert headers.files_of(SimpleNamespace(files=["a.npy"])) == []


def test_the_root_of_a_dataset_that_declares_none_is_dataroot():
    assert headers.roots_of(SimpleNamespace(roots=["x/testA"]), "x") == ["x/testA"]
    for dataset in (SimpleNamespace(), SimpleNamespace(roots=[]), SimpleNamespace(roots="y"), SimpleNamespace(roots=3)):
        assert headers.roots_of(dataset, "x") == ["x"]


@pytest.mark.parametrize("folders", [{"trainA": 1, "trainB": 2}])
def test_built_in_datasets_declare_their_files_and_roots(tmp_path, folders):
    dataset = find_dataset_using_name("unaligned")(make_opt(save_tree(tmp_path, **folders)))
    assert [os.path.relpath(path, tmp_path) for path in headers.files_of(dataset)] == [
        os.path.join("trainA", "0.png"),
        os.path.join("trainB", "0.png"),
        os.path.join("trainB", "1.png"),
    ]
    assert [os.path.relpath(root, tmp_path) for root in dataset.roots] == [".", "trainA", "trainB"]
