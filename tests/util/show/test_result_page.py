"""A results folder belongs to one test: it is replaced as a whole, and foreign files are never lost."""

import errno
import gc
import json
import os
import shutil
from argparse import Namespace
from pathlib import Path

import pytest
import torch

from util.errors import InputError
from util.show import result_page
from util.show.result_page import ResultPage, folder_of


def options(tmp_path, **changed):
    fixed = dict(results_dir=str(tmp_path / "results"), name="run", phase="test", epoch="latest", load_iter=0)
    shown = dict(aspect_ratio=1.0, display_winsize=64, results_layout="flat", num_test=float("inf"), dataroot="photos")
    return Namespace(**{**fixed, **shown, **changed})


def write_results(opt, names):
    page = ResultPage(opt, len(names), ["photos"])
    for name in names:
        page.add({"fake": torch.zeros(1, 3, 4, 4)}, [f"photos/{name}.jpg"], 1)
    page.close()
    return folder_of(opt)


def pictures(folder):
    return sorted(os.listdir(os.path.join(folder, "images")))


def test_a_second_test_replaces_the_first_as_a_whole(tmp_path):
    folder = write_results(options(tmp_path), ["a", "b", "c"])
    assert pictures(folder) == ["a_fake.png", "b_fake.png", "c_fake.png"]
    assert write_results(options(tmp_path, dataroot="others"), ["d"]) == folder
    assert pictures(folder) == ["d_fake.png"]
    assert "a_fake" not in Path(folder, "plain.html").read_text() + Path(folder, "assets/items.js").read_text()
    assert os.listdir(os.path.dirname(folder)) == ["test_latest"]


def test_the_options_of_the_test_are_written_beside_the_page(tmp_path):
    folder = write_results(options(tmp_path), ["a"])
    stored = json.loads(Path(folder, "test_opt.json").read_text())
    assert stored["options"]["name"] == "run" and stored["options"]["num_test"] == "inf"
    files = [name for name in stored["files"] if not name.startswith("assets/")]
    assert files == ["images/a_fake.png", "index.html", "page.css", "plain.html", "test_opt.json"]


@pytest.mark.parametrize(
    "labels, declared, source, truth, outputs",
    [
        (["data_A", "data_B", "output"], {"output": ("data_A", "data_B")}, "data_A", "data_B", ["output"]),
        (["real_A", "fake_B", "rec_A", "real_B"], {"fake_B": ("real_A", "real_B")}, "real_A", "real_B", ["fake_B"]),
        (
            ["real_B", "fake_A"],
            {"fake_B": ("real_A", "real_B"), "fake_A": ("real_B", "real_A")},
            "real_B",
            None,
            ["fake_A"],
        ),
        (
            ["real_A", "Male", "Young"],
            {"Male": ("real_A", None), "Young": ("real_A", None)},
            "real_A",
            None,
            ["Male", "Young"],
        ),
        (["real_A", "mask", "fake_B"], {}, "real_A", None, ["mask", "fake_B"]),
    ],
)
def test_the_page_shows_images_in_the_roles_that_the_model_declares(tmp_path, labels, declared, source, truth, outputs):
    page = ResultPage(options(tmp_path), 1, ["photos"], translations=declared)
    page.add({label: torch.zeros(1, 3, 4, 4) for label in labels}, ["photos/a.jpg"], 1, paired=True)
    page.close()
    script = Path(folder_of(options(tmp_path)), "assets/items.js").read_text()
    described = next(line for line in script.splitlines() if line.startswith("metamer.describe("))
    found = json.loads(described.removeprefix("metamer.describe(").removesuffix(");"))["roles"]
    assert (found["input"], found["truth"], found["outputs"]) == (source, truth, outputs)


def test_a_preview_reports_what_it_does_not_show(tmp_path):
    page = ResultPage(options(tmp_path), 1, ["photos"])
    page.add(
        {"real": torch.zeros(1, 5, 4, 4), "fake": torch.zeros(1, 2, 4, 4), "gray": torch.zeros(1, 1, 4, 4)}, ["a"], 1
    )
    page.close()
    script = Path(folder_of(options(tmp_path)), "assets/items.js").read_text()
    assert "real shows channels 1 to 3 of 5" in script and "fake shows 2 channels as red and green" in script
    assert "gray shows" not in script and "exact files" not in script


@pytest.mark.parametrize("name", ["notes.txt", "images/best.png"])
def test_files_of_another_origin_are_refused_and_kept(tmp_path, name):
    folder = write_results(options(tmp_path), ["a"])
    with open(os.path.join(folder, name), "w") as file:
        file.write("mine")
    with pytest.raises(InputError, match="that no test wrote") as error:
        ResultPage(options(tmp_path), 1, [])
    assert name in str(error.value)
    assert pictures(folder)[0] == "a_fake.png" and os.path.exists(os.path.join(folder, name))


def test_a_folder_of_an_earlier_version_is_replaced(tmp_path):
    folder = write_results(options(tmp_path), ["a"])
    os.remove(os.path.join(folder, "test_opt.json"))
    shutil.rmtree(os.path.join(folder, "assets"))
    write_results(options(tmp_path), ["b"])
    assert pictures(folder) == ["b_fake.png"]


def test_a_test_that_was_stopped_leaves_the_former_results(tmp_path):
    folder = write_results(options(tmp_path), ["a"])
    page = ResultPage(options(tmp_path), 2, [])
    page.add({"fake": torch.zeros(1, 3, 4, 4)}, ["photos/b.jpg"], 1)
    assert pictures(folder) == ["a_fake.png"]
    write_results(options(tmp_path), ["d"])
    assert os.listdir(os.path.dirname(folder)) == ["test_latest"]  # the unfinished folder was removed


def test_an_unwritable_folder_gives_one_line(tmp_path):
    (tmp_path / "results").write_text("a file where the folder should be")
    with pytest.raises(InputError, match=r"can't be written \(.*\); choose another --results_dir$"):
        ResultPage(options(tmp_path), 1, [])


def test_a_full_disk_gives_one_line_and_leaves_nothing(tmp_path, monkeypatch):
    def fail(*given):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(result_page, "write_page", fail)
    said = r"test_latest: can't be written \(No space .*\); .* bytes are free; choose another --results_dir$"
    with pytest.raises(InputError, match=said) as caught:
        ResultPage(options(tmp_path), 1, [])
    del caught
    gc.collect()
    assert os.listdir(tmp_path / "results" / "run") == []


def test_too_few_images_are_an_error(tmp_path):
    page = ResultPage(options(tmp_path), 2, [])
    page.add({"fake": torch.zeros(1, 3, 4, 4)}, ["photos/a.jpg"], 1)
    with pytest.raises(InputError, match="only 1 of 2"):
        page.close()
