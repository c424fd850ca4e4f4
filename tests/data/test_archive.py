"""Tar shards: their images are listed, read and named like files of a folder."""

import contextlib
import io
import os
import pickle
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from data_help import make_opt, picture, save, save_tree
from PIL import Image

from data import find_dataset_using_name, image_paths
from data.image_folder import ImageFolder, make_dataset
from data.loading import archive, headers, index
from data.loading.loader import CustomDatasetDataLoader
from data.pictures import open_image
from datasets import parts
from scripts import check_data
from util.errors import InputError
from util.show import results


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(archive, "_shards", {})
    return tmp_path / "cache" / "metamer"


def png(image):
    file = io.BytesIO()
    image.save(file, "png")
    return file.getvalue()


def pack(path, members, kind=tarfile.PAX_FORMAT):
    """members: {name: picture, bytes, or the TarInfo of something else}"""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=kind) as tar:
        for name, content in members.items():
            if isinstance(content, tarfile.TarInfo):
                tar.addfile(content)
                continue
            content = png(content) if isinstance(content, Image.Image) else content
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def special(name, type, linkname=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = type, linkname
    return info


def below(root, paths):
    return [os.path.relpath(path, root) for path in paths]


@pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_members_of_a_shard_are_listed_like_files_and_decode_to_the_same_pixels(tmp_path, kind):
    long = "deep/" * 25 + "x" * 90 + ".png" if kind != tarfile.USTAR_FORMAT else "long.png"
    members = {"b/2.png": picture(k=2), "./10.png": picture(k=10), "b/2.json": b"{}", long: picture(k=3)}
    pack(tmp_path / "trainA" / "000.tar", members, kind)
    pack(tmp_path / "trainA" / "sub" / "001.TAR", {"ü ü.png": picture(k=4)})
    save(tmp_path / "trainA" / "000.png", picture(k=5))
    paths = make_dataset(str(tmp_path / "trainA"))
    expected = ["000.png", "000.tar/10.png", "000.tar/b/2.png", f"000.tar/{long}", "sub/001.TAR/ü ü.png"]
    assert below(tmp_path / "trainA", paths) == expected
    assert paths == sorted(paths)
    for path, k in zip(paths, (5, 10, 2, 3, 4)):
        assert np.array_equal(np.asarray(open_image(path)), np.asarray(picture(k=k))), path
    assert make_dataset(str(tmp_path / "trainA"), 2) == paths[:2]


def test_hidden_members_links_and_other_files_are_ignored(tmp_path):
    members = {
        "a.png": picture(),
        ".b.png": picture(),
        ".thumbnails/c.png": picture(),
        "../d.png": picture(),
        "folder.png": special("folder.png", tarfile.DIRTYPE),
        "link.png": special("link.png", tarfile.SYMTYPE, "a.png"),
        "pipe.png": special("pipe.png", tarfile.FIFOTYPE),
        "second.png": special("second.png", tarfile.LNKTYPE, "./a.png"),
        "nowhere.png": special("nowhere.png", tarfile.LNKTYPE, "gone.png"),
    }
    paths = make_dataset(pack(tmp_path / "x" / "0.tar", members).parent)
    assert below(tmp_path / "x", paths) == ["0.tar/a.png", "0.tar/second.png"]
    assert open_image(paths[1]).size == (24, 24)


def test_of_two_members_with_one_name_the_later_is_used(tmp_path):
    path = pack(tmp_path / "0.tar", {"a.png": picture(10, 10)})
    with tarfile.open(path, "a") as tar:
        info = tarfile.TarInfo("./a.png")
        content = png(picture(12, 12))
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))
    (member,) = make_dataset(tmp_path)
    assert open_image(member).size == (12, 12)


def test_member_names_that_are_not_utf8_are_read(tmp_path):
    name = os.fsdecode(b"bad\xff.png")
    (path,) = make_dataset(pack(tmp_path / "0.tar", {name: picture()}, tarfile.GNU_FORMAT).parent)
    assert path == str(tmp_path / "0.tar" / name)
    assert open_image(path).size == (24, 24)


def test_hidden_shards_are_ignored_and_folders_with_the_suffix_tar_are_folders(tmp_path):
    pack(tmp_path / ".0.tar", {"a.png": picture()})
    path = save(tmp_path / "folder.tar" / "1.png")
    assert make_dataset(str(tmp_path)) == [path]
    assert open_image(path).size == (24, 24)
    inner = pack(tmp_path / "folder.tar" / "in.tar", {"in.tar/2.png": picture(30, 30)})
    assert open_image(inner / "in.tar" / "2.png").size == (30, 30)


def test_an_empty_shard_has_no_images(tmp_path):
    pack(tmp_path / "0.tar", {})
    assert make_dataset(tmp_path) == []


def cut(share):
    return lambda whole: whole[: int(len(whole.rstrip(b"\0")) * share)]


DAMAGES = {
    "cut in the first header": (cut(0.01), "unexpected end|cut off|damaged"),
    "cut in an image": (cut(0.6), "unexpected end|cut off|damaged"),
    "cut in the last image": (cut(0.98), "unexpected end|cut off|damaged"),
    "cut after a member": (lambda whole: whole[: whole.rindex(b"2.png")], "cut off"),
    "only the end mark is missing": (lambda whole: whole.rstrip(b"\0") + b"\0" * 100, "cut off|damaged"),
    "a header overwritten": (lambda whole: whole.replace(b"1.png", b"?????"), "damaged"),
    "one after the other": (lambda whole: whole + whole, "several tar files in one"),
    "not a tar file": (lambda whole: b"hello" * 1000, "not a tar file"),
    "nothing in it": (lambda whole: b"", "not a tar file"),
    "compressed in secret": (lambda whole: b"\x1f\x8b\x08" + whole, "not a tar file"),
    "backwards": (lambda whole: backwards(whole), "damaged"),
}


def backwards(whole):
    """The second member claims a negative size, in base 256, with a right checksum."""
    at = whole.index(b"1.png")
    header = bytearray(whole[at : at + 512])
    header[124:136] = (-1024).to_bytes(12, "big", signed=True)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return whole[:at] + bytes(header) + whole[at + 512 :]


@pytest.mark.parametrize("damage", DAMAGES)
def test_the_error_for_a_damaged_shard_names_it_and_the_correction(tmp_path, damage):
    path = pack(tmp_path / "000.tar", {f"{i}.png": picture(64, 64, k=i) for i in range(3)}, tarfile.USTAR_FORMAT)
    change, words = DAMAGES[damage]
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(InputError, match=words) as caught:
        make_dataset(str(tmp_path))
    assert str(caught.value).startswith(f"{path}: ")
    assert "copy it again, or pack it anew" in str(caught.value)


@pytest.mark.parametrize("cut_at", range(0, 10240, 512))
def test_a_shard_cut_at_any_block_is_refused(tmp_path, cut_at):
    path = pack(tmp_path / "0.tar", {f"{i}.png": picture(k=i) for i in range(3)}, tarfile.USTAR_FORMAT)
    whole = path.read_bytes()
    assert len(whole) == 10240
    path.write_bytes(whole[:cut_at])
    written = len(whole.rstrip(b"\0"))
    if cut_at >= written + 512:  # an end mark is there
        assert len(make_dataset(tmp_path)) == 3
    else:
        with pytest.raises(InputError, match="pack it anew"):
            make_dataset(tmp_path)


def test_the_error_for_a_missing_or_unreadable_shard_names_it(tmp_path):
    (tmp_path / "0.tar").symlink_to(tmp_path / "gone.tar")
    with pytest.raises(InputError, match=r"0\.tar: No such file"):
        make_dataset(str(tmp_path))


@pytest.mark.parametrize("ending", [".tar.gz", ".tgz", ".TAR.BZ2", ".tar.zst"])
def test_compressed_shards_are_refused_unless_the_folder_has_images(tmp_path, ending):
    (tmp_path / f"0{ending}").write_bytes(b"x")
    with pytest.raises(InputError, match="compressed.*unpack it, or make it .tar"):
        make_dataset(str(tmp_path))
    loose = save(tmp_path / "1.png")
    assert make_dataset(str(tmp_path)) == [loose]
    pack(tmp_path / "1.tar", {"a.png": picture()})
    with pytest.raises(InputError, match="compressed"):
        make_dataset(str(tmp_path))


def test_the_error_for_a_damaged_member_names_it(tmp_path):
    whole = png(picture(100, 100))
    pack(tmp_path / "0.tar", {"a.png": whole[:200], "b.png": b"hello", "c.png": b""})
    paths = make_dataset(str(tmp_path))
    for path, words in zip(paths, ("truncated|incomplete", "not an image", "not an image")):
        with pytest.raises(InputError, match=words) as caught:
            open_image(path)
        assert str(caught.value).startswith(f"{path}: ")
    assert [bool(headers.trouble(path)) for path in paths] == [False, True, True]


def test_the_error_for_a_missing_member_names_it(tmp_path):
    pack(tmp_path / "0.tar", {"b.png": picture()})
    pack(tmp_path / "1.tar", {})
    for member in ("0.tar/a.png", "0.tar/c.png", "1.tar/b.png"):
        with pytest.raises(InputError, match=f"{member}: the shard has no such image"):
            open_image(str(tmp_path / member))


def test_a_shard_that_changes_in_use_is_an_error_and_a_new_listing_reads_it(tmp_path):
    path = pack(tmp_path / "0.tar", {"a.png": picture()})
    (member,) = make_dataset(tmp_path)
    pack(path, {"b.png": picture(), "a.png": picture(30, 30)})
    os.utime(path, (1, 1))
    with pytest.raises(InputError, match="changed while it was in use"):
        open_image(member)
    assert len(make_dataset(tmp_path)) == 2
    assert open_image(member).size == (30, 30)
    path.unlink()
    with pytest.raises(InputError, match="No such file"):
        open_image(member)


def test_headers_are_read_once_and_cached(tmp_path, cache, monkeypatch):
    monkeypatch.setattr(archive, "WORTH_STORING", 2)
    monkeypatch.setattr(index, "RESOLUTION", -(10**12))
    path = pack(tmp_path / "x" / "0.tar", {"a.png": picture(), os.fsdecode(b"\xff.png"): picture()}, tarfile.GNU_FORMAT)
    first = make_dataset(tmp_path / "x")
    (kept,) = cache.glob("shard-*.json")

    def forget(damage=None):
        archive._shards.clear()
        if damage:
            kept.write_text(damage)

    with monkeypatch.context() as patch:
        patch.setattr(archive, "headers", lambda path: pytest.fail("read again"))
        forget()
        assert make_dataset(tmp_path / "x") == first
        assert [open_image(path).size for path in first] == [(24, 24)] * 2
    forget("damaged")
    assert make_dataset(tmp_path / "x") == first
    forget()
    pack(path, {"c.png": picture(), "d.png": picture()})
    assert below(path, make_dataset(tmp_path / "x")) == ["c.png", "d.png"]


def test_only_one_of_several_processes_reads_the_headers(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(index, "one_process_first", lambda *what: asked.append(what) or contextlib.nullcontext())
    for number in range(image_paths.MANY):
        assert not asked
        pack(tmp_path / "x" / f"{number}.tar", {"a.png": picture()})
        assert len(make_dataset(tmp_path / "x")) == number + 1
    assert asked == [(tmp_path / "x", "shards")]


def test_headers_of_small_shards_are_not_cached(tmp_path, cache, monkeypatch):
    monkeypatch.setattr(index, "RESOLUTION", -(10**12))
    pack(tmp_path / "x" / "0.tar", {"a.png": picture()})
    make_dataset(tmp_path / "x")
    assert not list(cache.glob("*.json"))


def test_no_file_stays_open(tmp_path):
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("no /proc/self/fd to count open files in")
    pack(tmp_path / "0.tar", {"a.png": picture()})
    before = len(os.listdir("/proc/self/fd"))
    for path in make_dataset(tmp_path) * 20:
        open_image(path)
    assert len(os.listdir("/proc/self/fd")) == before


def shards_of(tree, to):
    """The tree's folders with their images in two shards each."""
    for folder in tree.iterdir():
        files = sorted(folder.iterdir())
        for number in range(2):
            pack(to / folder.name / f"{number}.tar", {file.name: file.read_bytes() for file in files[number::2]})
    return to


@pytest.mark.parametrize("workers", [0, 2])
def test_a_dataset_in_shards_gives_the_same_batches_as_in_folders(tmp_path, workers):
    loose = save_tree(tmp_path / "loose", trainA=4, trainB=4)
    packed = shards_of(loose, tmp_path / "packed")
    names = {}
    for root in (loose, packed):
        loader = CustomDatasetDataLoader(make_opt(root, serial_batches=True, num_threads=workers))
        loader.set_epoch(1)
        batches = list(loader)
        names[root] = {Path(batch["A_paths"][0]).name: batch["A"] for batch in batches}
    assert names[loose].keys() == names[packed].keys() == {f"{i}.png" for i in range(4)}


def test_samples_of_shards_have_the_pixels_of_the_files(tmp_path):
    loose = save_tree(tmp_path / "loose", train=6)
    packed = shards_of(loose, tmp_path / "packed")
    flags = {"dataset_mode": "aligned", "phase": "train", "preprocess": "none", "no_flip": True}
    tensors = {}
    for root in (loose, packed):
        dataset = find_dataset_using_name("aligned")(make_opt(root, **flags))
        items = [dataset[number] for number in range(len(dataset))]
        tensors[root] = {Path(item["A_paths"]).name: item["A"] for item in items}
    assert len(tensors[packed]) == 6
    assert all(tensors[loose][name].equal(tensors[packed][name]) for name in tensors[loose])


def test_a_spawned_process_reads_members(tmp_path):
    """As workers do where they are spawned: they get the data set and none of this process's memory."""
    dataset = ImageFolder(str(pack(tmp_path / "0.tar", {"a.png": picture()}).parent))
    program = "import pickle, sys; print(pickle.load(sys.stdin.buffer)[0].size)"
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", program], input=pickle.dumps(dataset), cwd=root, capture_output=True)
    assert done.stdout.decode().strip() == "(24, 24)", done.stderr.decode()


def test_check_data_checks_members_of_shards(tmp_path, capsys):
    packed = shards_of(save_tree(tmp_path / "loose", trainA=2, trainB=2), tmp_path / "packed")
    pack(packed / "trainA" / "2.tar", {"bad.png": b"hello"})
    words = ["--dataroot", str(packed), "--device", "cpu", "--load_size", "24", "--crop_size", "24"]
    capsys.readouterr()
    assert check_data.main(words) == 1
    assert f"{packed / 'trainA' / '2.tar' / 'bad.png'}: not an image" in capsys.readouterr().out


def test_names_of_results_contain_the_shard(tmp_path):
    stem = next(results._stems(str(tmp_path / "testA" / "000.tar" / "b" / "7.jpg"), [str(tmp_path / "testA")]))
    assert stem == "000.tar/b/7"


def test_the_number_of_shards_is_printed(tmp_path, capsys):
    packed = shards_of(save_tree(tmp_path / "loose", trainA=3, trainB=2), tmp_path / "packed")
    find_dataset_using_name("unaligned")(make_opt(packed))
    assert f"{packed / 'trainA'}: 3 images; 3 are in its 2 tar files" in capsys.readouterr().out


def test_the_error_names_a_tar_file_in_place_of_a_folder(tmp_path):
    pack(tmp_path / "train.tar", {"a.png": picture()})
    with pytest.raises(InputError, match=r"train\.tar into a folder .*train$"):
        find_dataset_using_name("aligned")(make_opt(tmp_path, dataset_mode="aligned"))


def test_members_can_be_copied_out_but_not_linked(tmp_path):
    whole = png(picture())
    (path,) = make_dataset(pack(tmp_path / "in" / "0.tar", {"a.png": whole}).parent)
    parts.put(path, str(tmp_path / "out" / "a.png"), "copy")
    assert (tmp_path / "out" / "a.png").read_bytes() == whole
    with pytest.raises(InputError, match="is in a tar file.*--how copy"):
        parts.put(path, str(tmp_path / "out" / "b.png"), "link")
