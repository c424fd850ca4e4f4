"""The index of large folders gives the same paths as listing, is never outdated, and never causes an error."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from data import image_paths
from data.image_paths import make_dataset
from data.loading import index

LONG_AGO = time.time() - 1000


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("METAMER_NO_INDEX", raising=False)
    monkeypatch.setattr(image_paths, "BIG", 5)
    monkeypatch.setattr(index, "RESOLUTION", 0)  # folders made by the test itself count as old
    return tmp_path / "cache" / "metamer"


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "data"
    for name in ("b/2.jpg", "b/10.jpg", "a/z.PNG", "c.webp", "B.jpg", "notes.txt", ".x.png", "ü/ .jpg", "b/deep/1.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    (root / os.fsdecode(b"bad\xff.jpg")).touch()
    (root / "line\nbreak.jpg").touch()
    time.sleep(0.02)  # clocks of file systems tick every few ms
    return root


def uncached(folder, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setenv("METAMER_NO_INDEX", "1")
        return make_dataset(folder)


def no_looking(monkeypatch):
    def scandir(path):
        raise AssertionError(f"{path} was looked into")

    monkeypatch.setattr(os, "scandir", scandir)


def indexes(cache):
    return sorted(cache.glob("*.json")) if cache.is_dir() else []


@pytest.mark.parametrize("spelling", ["{}", "{}/", "{}/../data"])
def test_the_index_gives_the_same_paths_without_listing_folders(folder, monkeypatch, capsys, spelling):
    spelled = spelling.format(folder)
    first = make_dataset(spelled)
    assert "entries listed in" in capsys.readouterr().out
    assert first == uncached(spelled, monkeypatch) == sorted(first)
    assert len(first) == 9
    with monkeypatch.context() as patch:
        no_looking(patch)
        assert make_dataset(spelled) == first
        assert make_dataset(spelled, 3) == first[:3]
    assert capsys.readouterr().out == ""


def test_relative_paths_stay_relative(folder, monkeypatch):
    make_dataset(folder)
    monkeypatch.chdir(folder.parent)
    no_looking(monkeypatch)
    assert "data/b/10.jpg" in make_dataset("data")
    monkeypatch.chdir(folder)
    assert "./b/10.jpg" in make_dataset(".")


CHANGES = {
    "a new file": lambda root: (root / "b" / "3.jpg").touch(),
    "a file less": lambda root: (root / "b" / "2.jpg").unlink(),
    "a file renamed": lambda root: (root / "b" / "2.jpg").rename(root / "b" / "4.jpg"),
    "a new folder": lambda root: (root / "b" / "deep" / "er").mkdir(),
    "a folder less": lambda root: ((root / "a" / "z.PNG").unlink(), (root / "a").rmdir()),
    "a new link": lambda root: (root / "link").symlink_to(root / "b"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_changed_folders_are_listed_again(folder, monkeypatch, change):
    make_dataset(folder)
    CHANGES[change](folder)
    assert make_dataset(folder) == uncached(folder, monkeypatch)
    assert any(make_dataset(folder)) and len(indexes(Path(index.cache_folder()))) == 1


def test_two_folders_with_the_same_times_have_their_own_index(folder, tmp_path, monkeypatch):
    os.utime(folder, (LONG_AGO, LONG_AGO))
    make_dataset(folder)
    folder.rename(tmp_path / "old")
    folder.mkdir()
    for name in range(11):
        (folder / f"{name}.jpg").touch()
    os.utime(folder, (LONG_AGO, LONG_AGO))  # as unpacking an archive does
    assert len(make_dataset(folder)) == 11


def test_a_change_in_the_target_of_a_link_is_noticed(folder, tmp_path, monkeypatch):
    (tmp_path / "v1").mkdir()
    (tmp_path / "current").symlink_to(tmp_path / "v1")
    (folder / "linked").symlink_to(tmp_path / "current")
    (folder / "later").symlink_to(tmp_path / "later")
    time.sleep(0.02)
    before = make_dataset(folder)
    (tmp_path / "later").mkdir()
    (tmp_path / "later" / "1.jpg").touch()
    assert set(make_dataset(folder)) - set(before) == {str(folder / "later" / "1.jpg")}
    (tmp_path / "v2").mkdir()
    (tmp_path / "v2" / "2.jpg").touch()
    (tmp_path / "current").unlink()
    (tmp_path / "current").symlink_to(tmp_path / "v2")
    assert str(folder / "linked" / "2.jpg") in make_dataset(folder)


def test_a_folder_that_changed_within_two_seconds_is_listed_again(folder, cache, monkeypatch):
    monkeypatch.setattr(index, "RESOLUTION", 2 * 10**9)
    make_dataset(folder)
    assert indexes(cache) == []
    # And one whose file system keeps no times.
    now = time.time_ns()
    assert index.shows_changes([[1, 0, 1]], now)
    assert not index.shows_changes([[1, 0, 1], [0, 0, 0]], now)
    assert not index.shows_changes([[now + 10**12, 0, 1]], now)


def test_small_folders_are_not_stored(folder, cache, monkeypatch):
    monkeypatch.setattr(image_paths, "BIG", 1000)
    make_dataset(folder)
    assert not cache.exists()


def test_METAMER_NO_INDEX_turns_the_index_off(folder, cache, monkeypatch):
    monkeypatch.setenv("METAMER_NO_INDEX", "1")
    make_dataset(folder)
    assert not cache.exists()


DAMAGES = {
    "empty": lambda whole: b"",
    "half": lambda whole: whole[: len(whole) // 2],
    "a letter": lambda whole: whole.replace(b"10.jpg", b"11.jpg"),
    "another version": lambda whole: whole.replace(b"index 1", b"index 0"),
    "binary": lambda whole: b"\xff\0" * 100,
    "of another kind": lambda whole: b"[]",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_index_is_replaced(folder, cache, monkeypatch, damage):
    first = make_dataset(folder)
    (file,) = indexes(cache)
    whole = file.read_bytes()
    file.write_bytes(DAMAGES[damage](whole))
    assert file.read_bytes() != whole
    assert make_dataset(folder) == first
    assert file.read_bytes() == whole


@pytest.mark.parametrize("obstacle", ["a file", "a folder in place of the index", "no home"])
def test_an_unwritable_cache_folder_is_no_error(folder, cache, tmp_path, monkeypatch, obstacle):
    first = make_dataset(folder)
    (file,) = indexes(cache)
    file.unlink()
    if obstacle == "a file":
        monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "c.webp"))
    elif obstacle == "no home":
        monkeypatch.setenv("XDG_CACHE_HOME", "relative")
        monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    else:
        file.mkdir()
    assert make_dataset(folder) == make_dataset(folder) == first


def test_a_relative_XDG_CACHE_HOME_is_ignored(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", "here")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert index.cache_folder() == str(tmp_path / ".cache" / "metamer")


def test_later_processes_wait_for_the_first_and_read_its_index(folder, cache, monkeypatch):
    first = make_dataset(folder)
    (file,) = indexes(cache)
    kept = file.read_bytes()
    file.unlink()
    looked_into, scandir, wait = [], os.scandir, index._wait
    results, waiting = [], threading.Event()
    monkeypatch.setattr(os, "scandir", lambda path: looked_into.append(path) or scandir(path))
    monkeypatch.setattr(index, "_wait", lambda *lock: (waiting.set(), wait(*lock)))
    with index.one_process_first(folder, "folder"):
        later = threading.Thread(target=lambda: results.append(make_dataset(folder)))
        later.start()
        assert waiting.wait(10)
        file.write_bytes(kept)
    later.join(10)
    assert results == [first]
    assert looked_into == [str(folder)]  # it had begun, and went no further


def test_waiting_for_another_process_has_a_time_limit(folder, monkeypatch):
    monkeypatch.setattr(index, "PATIENCE", 0.1)
    with index.one_process_first(folder, "folder"):
        assert len(make_dataset(folder)) == 9


def test_many_processes_at_once_get_the_same_paths(folder, tmp_path):
    program = """
import sys
from data import image_paths
from data.loading import index
image_paths.BIG, index.RESOLUTION = 5, 0
print(len(image_paths.make_dataset(sys.argv[1])))
"""
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-c", program, str(folder)]
    running = [subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) for _ in range(6)]
    outputs = [process.communicate(timeout=60)[0].splitlines() for process in running]
    assert [lines[-1] for lines in outputs] == ["9"] * 6
    assert any(len(lines) == 2 for lines in outputs)  # one of them said that it keeps the listing
