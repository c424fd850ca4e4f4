"""Downloads from servers that break connections, send wrong data, redirect or refuse; unpacking of hostile archives."""

import io
import json
import os
import socket
import stat
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import torch
from hostile_server import Behaviour, serving
from PIL import Image

import test as test_program
from datasets import download as program
from models import networks
from util.errors import InputError

sys.path.insert(0, str(Path(program.__file__).parent))
import fetch as fetching
from catalog import FAMILIES, SETS, WEIGHTS, Entry
from unpack import unpack

CONTENT = os.urandom(200_000)


def get(server, path="/f.zip", *, to, **how):
    said = []
    fetching.fetch([server + path], to, pause=0, say=said.append, **how)
    return said


def zipped(files, compression=zipfile.ZIP_STORED):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return made.getvalue()


def tarred(files, links=()):
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for name, target in links:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            archive.addfile(member)
    return made.getvalue()


HORSES = {f"horse2zebra/{name}/1.jpg": name.encode() for name in ("trainA", "trainB", "testA", "testB")}


def entry_at(address, archive="horse2zebra.zip", **more):
    holds = ("trainA", "trainB", "testA", "testB")
    return Entry("horse2zebra", ("cyclegan",), archive, (address,), holds, "horses", **more)


# --- fetching ---


def test_a_file_is_downloaded(tmp_path):
    with serving({"/f.zip": Behaviour(CONTENT)}) as server:
        assert get(server, to=tmp_path / "f") == []
    assert (tmp_path / "f").read_bytes() == CONTENT
    assert os.listdir(tmp_path) == ["f"]


def test_an_interrupted_download_is_resumed(tmp_path):
    behaviour = Behaviour(CONTENT, ["break", "break", "break"])
    with serving({"/f.zip": behaviour}) as server:
        said = get(server, to=tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == CONTENT
    assert behaviour.ranges == [None, "bytes=100000-", "bytes=150000-", "bytes=175000-"]
    assert "ended after 100,000 of 200,000 bytes; trying again from byte 100,000" in said[0]


def test_the_next_call_resumes_a_failed_download(tmp_path):
    behaviour = Behaviour(CONTENT, ["break", 503, 503, 503, 503])
    with serving({"/f.zip": behaviour}) as server:
        with pytest.raises(InputError, match="503"):
            get(server, to=tmp_path / "f")
        assert not (tmp_path / "f").exists()
        get(server, to=tmp_path / "f")
    assert behaviour.ranges[-1] == "bytes=100000-"
    assert (tmp_path / "f").read_bytes() == CONTENT


def test_a_changed_file_is_downloaded_from_the_beginning(tmp_path):
    behaviour = Behaviour(CONTENT, ["break", 503, 503, 503, 503])
    with serving({"/f.zip": behaviour}) as server:
        with pytest.raises(InputError):
            get(server, to=tmp_path / "f")
        behaviour.content, behaviour.etag = CONTENT[::-1], '"two"'
        get(server, to=tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == CONTENT[::-1]


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
def test_without_a_version_the_download_starts_from_the_beginning(tmp_path, etag):
    behaviour = Behaviour(CONTENT, ["break"], etag=etag)
    with serving({"/f.zip": behaviour}) as server:
        get(server, to=tmp_path / "f")
    assert behaviour.ranges == [None, None]
    assert (tmp_path / "f").read_bytes() == CONTENT


@pytest.mark.parametrize("lie", ["elsewhere", "whole"])
def test_a_wrong_continuation_is_not_appended(tmp_path, lie):
    with serving({"/f.zip": Behaviour(CONTENT, ["break", lie])}) as server:
        get(server, to=tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == CONTENT


def test_a_content_length_that_is_too_large_is_tolerated(tmp_path):
    with serving({"/f.zip": Behaviour(CONTENT, ["long"])}) as server:
        get(server, to=tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == CONTENT


def test_a_server_with_a_wrong_content_length_each_time_is_an_error(tmp_path):
    with (
        serving({"/f.zip": Behaviour(CONTENT, ["long"] * 9, etag=None)}) as server,
        pytest.raises(InputError, match="ended after 200,000 of 200,100 bytes"),
    ):
        get(server, to=tmp_path / "f")
    assert not (tmp_path / "f").exists()


def test_a_response_without_content_length_is_accepted(tmp_path):
    with serving({"/f.zip": Behaviour(CONTENT, length=False)}) as server:
        get(server, to=tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == CONTENT


def test_redirects_are_followed_but_not_to_files(tmp_path):
    moved, secret = Behaviour(b"", redirect="/f.zip"), Behaviour(b"", redirect="file:///etc/hostname")
    with serving({"/f.zip": Behaviour(CONTENT), "/old": moved, "/secret": secret}) as server:
        get(server, "/old", to=tmp_path / "f")
        with pytest.raises(InputError, match="not allowed"):
            get(server, "/secret", to=tmp_path / "g")
    assert (tmp_path / "f").read_bytes() == CONTENT


def test_a_redirect_to_itself_ends(tmp_path):
    with serving({"/f.zip": Behaviour(b"", redirect="/f.zip")}) as server, pytest.raises(InputError, match="302"):
        get(server, to=tmp_path / "f")


def test_a_redirect_from_https_to_http_is_refused():
    request = fetching.urllib.request.Request("https://a.example/f")
    with pytest.raises(fetching.Refused):
        fetching._Redirects().redirect_request(request, None, 302, "Found", {}, "http://a.example/f")


@pytest.mark.parametrize(("acts", "asked"), [([404] * 9, 1), ([500] * 9, fetching.TRIES), ([403] * 9, 1)])
def test_the_next_address_is_used_at_once_or_after_several_attempts(tmp_path, acts, asked):
    bad = Behaviour(CONTENT, acts)
    with serving({"/f.zip": bad, "/mirror/f.zip": Behaviour(CONTENT)}) as server:
        addresses = [f"{server}/f.zip", f"{server}/mirror/f.zip"]
        said = []
        assert fetching.fetch(addresses, tmp_path / "f", pause=0, say=said.append) == addresses[1]
    assert len(bad.ranges) == asked
    assert str(acts[0]) in said[-1]
    assert (tmp_path / "f").read_bytes() == CONTENT


def test_a_server_without_response_takes_no_longer_than_the_timeout(tmp_path):
    with serving({"/f.zip": Behaviour(CONTENT, ["hang"])}) as server:
        said = get(server, to=tmp_path / "f", timeout=0.3)
    assert "no response for 0.3 seconds" in said[0]


def test_a_web_page_instead_of_the_file_is_refused(tmp_path):
    with (
        serving({"/f.zip": Behaviour(b"<html>log in", kind="text/html; charset=utf-8")}) as server,
        pytest.raises(InputError, match="web page"),
    ):
        get(server, to=tmp_path / "f")


def test_an_empty_response_is_refused(tmp_path):
    with serving({"/f.zip": Behaviour(b"", length=False)}) as server, pytest.raises(InputError, match="empty|416"):
        get(server, to=tmp_path / "f")


def test_an_endless_response_is_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(fetching, "LARGEST", 100_000)
    monkeypatch.setattr(fetching, "PIECE", 50_000)
    with (
        serving({"/f.zip": Behaviour(CONTENT, length=False)}) as server,
        pytest.raises(InputError, match="more than 100,000 bytes"),
    ):
        get(server, to=tmp_path / "f")


def test_the_error_lists_every_address_with_its_reason(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(InputError) as caught:
        fetching.fetch([f"http://127.0.0.1:{port}/a", "ftp://x/a"], tmp_path / "f", pause=0, say=str)
    assert "refused" in str(caught.value)
    assert "ftp" in str(caught.value)
    assert "\n" not in str(caught.value)


# --- unpacking ---


def unpacked(content, tmp_path, **how):
    archive = tmp_path / "archive"
    archive.write_bytes(content)
    said = []
    unpack(archive, tmp_path / "out", say=said.append, **how)
    return {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file()}


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_a_single_top_level_folder_is_removed(pack, tmp_path):
    assert unpacked(pack(HORSES), tmp_path) == {name.removeprefix("horse2zebra/") for name in HORSES}


def test_a_single_top_level_folder_of_the_dataset_is_kept(tmp_path):
    assert unpacked(zipped({"train/1.jpg": b"x"}), tmp_path, keep=("train",)) == {"train/1.jpg"}


def test_files_added_by_macos_are_left_out(tmp_path):
    files = {**HORSES, "__MACOSX/horse2zebra/._1.jpg": b"m", "horse2zebra/.DS_Store": b"m"}
    assert len(unpacked(zipped(files), tmp_path)) == len(HORSES)


@pytest.mark.parametrize("pack", [zipped, tarred])
@pytest.mark.parametrize(
    "name",
    ["../out.jpg", "a/../../out.jpg", "/etc/out.jpg", "C:\\out.jpg", "..\\out.jpg", "\\\\host\\out.jpg", "C:out"],
)
def test_a_path_outside_the_folder_is_refused_and_nothing_is_unpacked(pack, name, tmp_path):
    with pytest.raises(InputError, match="a path outside the folder"):
        unpacked(pack({"a/1.jpg": b"x", name: b"evil"}), tmp_path)
    assert os.listdir(tmp_path) == ["archive"]


def test_links_of_a_tar_are_never_made(tmp_path):
    content = tarred({"a/1.jpg": b"x", "b/2.jpg": b"x"}, [("link", "/etc"), ("a/inside", "1.jpg")])
    assert unpacked(content, tmp_path) == {"a/1.jpg", "b/2.jpg"}
    assert not any(path.is_symlink() for path in (tmp_path / "out").rglob("*"))


def test_writing_through_a_link_of_the_archive_stays_inside(tmp_path):
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        link = tarfile.TarInfo("door")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path)
        archive.addfile(link)
        through = tarfile.TarInfo("door/evil.jpg")
        through.size = 4
        archive.addfile(through, io.BytesIO(b"evil"))
    unpacked(made.getvalue(), tmp_path)
    assert not (tmp_path / "evil.jpg").exists()


def test_links_of_a_zip_are_never_made(tmp_path):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        link = zipfile.ZipInfo("link.jpg")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/hostname")
        archive.writestr("1.jpg", "x")
    assert unpacked(made.getvalue(), tmp_path) == {"1.jpg"}


def test_a_bomb_is_refused(tmp_path):
    with pytest.raises(InputError, match="far more data than images do"):
        unpacked(zipped({"1.jpg": bytes(200_000_000)}, zipfile.ZIP_DEFLATED), tmp_path)
    assert os.listdir(tmp_path) == ["archive"]


@pytest.mark.parametrize("pack", [zipped, tarred])
@pytest.mark.parametrize("harm", ["cut", "flipped", "other"])
def test_a_damaged_archive_gives_one_line(pack, harm, tmp_path):
    content = pack({f"{i}.jpg": os.urandom(5000) for i in range(20)})
    middle = len(content) // 2
    content = {
        "cut": content[:middle],
        "flipped": content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :],
        "other": b"hello",
    }[harm]
    with pytest.raises(InputError) as caught:
        unpacked(content, tmp_path)
    assert "\n" not in str(caught.value)
    assert os.listdir(tmp_path) == ["archive"]


# --- the program ---


def test_a_dataset_is_downloaded_and_unpacked(tmp_path, capsys):
    with serving({"/s/horse2zebra.zip": Behaviour(zipped(HORSES), ["break"])}) as server:
        program.download(entry_at(f"{server}/s/horse2zebra.zip"), tmp_path / "horses", pause=0)
        program.download(entry_at(f"{server}/s/horse2zebra.zip"), tmp_path / "horses", pause=0)
    said = capsys.readouterr().out
    assert (tmp_path / "horses/trainA/1.jpg").read_bytes() == b"trainA"
    assert sorted(os.listdir(tmp_path)) == [".downloads", "horses"]
    assert os.listdir(tmp_path / ".downloads") == ["checksums.json"]
    assert "SHA-256" in said
    assert "trainA 1 files" in said
    assert "over http" in said
    assert "exists already" in said


def test_a_changed_checksum_is_refused_at_the_next_download(tmp_path, capsys):
    behaviour = Behaviour(zipped(HORSES))
    with serving({"/h.zip": behaviour}) as server:
        entry = entry_at(f"{server}/h.zip")
        program.download(entry, tmp_path / "one")
        program.download(entry, tmp_path / "two")
        assert "as expected" in capsys.readouterr().out
        behaviour.content = zipped({**HORSES, "horse2zebra/new.txt": b"new"})
        with pytest.raises(InputError, match=r"SHA-256 .* --accept_new"):
            program.download(entry, tmp_path / "three")
        assert not (tmp_path / "three").exists()
        program.download(entry, tmp_path / "three", accept_new=True)
    assert (tmp_path / "three/new.txt").is_file()


def test_the_checksum_of_the_catalog_is_compared(tmp_path):
    with serving({"/h.zip": Behaviour(zipped(HORSES))}) as server, pytest.raises(InputError, match="SHA-256"):
        program.download(entry_at(f"{server}/h.zip", sha256="0" * 64), tmp_path / "one")


def test_a_hostile_archive_leaves_no_files(tmp_path):
    with (
        serving({"/h.zip": Behaviour(zipped({"../../evil.jpg": b"x"}))}) as server,
        pytest.raises(InputError, match="a path outside the folder"),
    ):
        program.download(entry_at(f"{server}/h.zip"), tmp_path / "data/horses")
    assert {path.name for path in tmp_path.rglob("*")} == {"data", ".downloads", "checksums.json"}


def test_the_error_for_an_unreachable_host_describes_a_manual_download(tmp_path):
    with serving({}) as server, pytest.raises(InputError, match=r"404.*Run the same command again.*--archive FILE"):
        program.download(entry_at(f"{server}/h.zip"), tmp_path / "horses", pause=0)
    assert not (tmp_path / "horses").exists()


def test_a_mirror_is_tried_first(tmp_path):
    with serving({"/lab/horse2zebra.zip": Behaviour(zipped(HORSES))}) as server:
        program.download(entry_at("http://127.0.0.1:9/h.zip"), tmp_path / "horses", mirror=f"{server}/lab/")
    assert (tmp_path / "horses/testB/1.jpg").is_file()


def test_a_local_archive_is_unpacked_and_kept(tmp_path):
    (tmp_path / "got.tar.gz").write_bytes(tarred({name.replace("horse2zebra", "x"): b"x" for name in HORSES}))
    program.main(["horse2zebra", "--archive", str(tmp_path / "got.tar.gz"), "--to", str(tmp_path / "h")])
    assert (tmp_path / "h/testA/1.jpg").is_file()
    assert (tmp_path / "got.tar.gz").is_file()


@pytest.mark.parametrize("holding", ["thesis.tex", "trainA/1.jpg"])
def test_a_folder_with_other_files_is_not_changed(holding, tmp_path):
    path = tmp_path / "h" / holding
    path.parent.mkdir(parents=True)
    path.write_text("precious")
    with pytest.raises(InputError, match="exists and has no"):
        program.main(["horse2zebra", "--to", str(tmp_path / "h")])
    assert path.read_text() == "precious"


def test_a_dry_run_does_nothing(tmp_path, capsys):
    program.main(["horse2zebra", "--to", str(tmp_path / "h"), "--dry_run"])
    said = capsys.readouterr().out
    assert "https://efrosgans.eecs.berkeley.edu/cyclegan/datasets/horse2zebra.zip" in said
    assert os.listdir(tmp_path) == []


def test_weights_are_stored_with_the_options_for_a_test(tmp_path, capsys):
    made = io.BytesIO()
    torch.save({"w": torch.zeros(1)}, made)
    found = program.find("horse2zebra", "cyclegan", weights=True)
    with serving({"/w/horse2zebra.pth": Behaviour(made.getvalue())}) as server:
        program.download(found, tmp_path / "runs/horse2zebra_pretrained", mirror=f"{server}/w")
    run = tmp_path / "runs/horse2zebra_pretrained"
    assert torch.load(run / "latest_net_G.pth", weights_only=True)["w"].shape == (1,)
    assert json.loads((run / "train_opt.json").read_text())["options"]["netG"] == "resnet_9blocks"


def test_released_weights_are_tested_without_network_flags(tmp_path):
    """The weights are saved in the old format, and tested with the flags for dataset and run only."""
    net = networks.define_G(3, 3, 64, "resnet_9blocks", norm="instance")
    torch.save(net.state_dict(), tmp_path / "got.pth", _use_new_zipfile_serialization=False)
    found, run = program.find("horse2zebra", "cyclegan", weights=True), tmp_path / "runs/horse2zebra_pretrained"
    program.download(found, run, archive=tmp_path / "got.pth")
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (40, 40), "red").save(tmp_path / "photos/1.png")
    where = ["--dataroot", tmp_path / "photos", "--name", run.name, "--checkpoints_dir", run.parent]
    small = ["--results_dir", tmp_path / "results", "--crop_size", 32, "--device", "cpu"]
    test_program.main([*map(str, where), *map(str, small)])
    assert list((tmp_path / "results").rglob("1_fake.png"))


def test_a_web_page_instead_of_weights_leaves_no_checkpoint(tmp_path):
    found = program.find("horse2zebra", "cyclegan", weights=True)
    with (
        serving({"/w/horse2zebra.pth": Behaviour(b"<html>", kind="application/octet-stream")}) as server,
        pytest.raises(InputError, match="not a file of weights"),
    ):
        program.download(found, tmp_path / "run", mirror=f"{server}/w")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("found", WEIGHTS, ids=lambda entry: f"{entry.of[0]}-{entry.name}")
def test_options_of_released_weights_are_existing_flags(found):
    from options import checks

    for name, value in found.options.items():
        if name in checks.CHOICES:
            assert value in checks.CHOICES[name]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "give the name of a dataset"),
        (["hors2zebra"], "did you mean 'horse2zebra'"),
        (["facades"], "--of cyclegan .* or --of pix2pix"),
        (["cityscapes"], "cityscapes-dataset.com"),
        (["celeba", "--of", "cut"], "no such data set of cut"),
        (["horse2zebra", "--of", "cgan"], "--of"),
        (["horse2zebra", "--timeout", "0"], "--timeout"),
        (["horse2zebra", "--archive", "/nowhere/x.zip", "--to", "/nowhere/y"], "no such file"),
        (["horse2zebras", "--weights"], "no such weights"),
    ],
)
def test_bad_input_gives_one_line(words, said):
    with pytest.raises(InputError, match=said) as caught:
        program.main(words)
    assert "\n" not in str(caught.value)


def test_the_list_shows_all_entries(capsys):
    program.main(["--list"])
    said = capsys.readouterr().out
    assert all(entry.name in said for entry in (*SETS, *WEIGHTS))
    assert "cityscapes" in said


def test_names_are_unique_within_a_family():
    for table in (SETS, WEIGHTS):
        for of in FAMILIES:
            names = [entry.name for entry in table if of in entry.of]
            assert len(names) == len(set(names))
    assert all(entry.addresses[0].startswith("https://") for entry in (*SETS, *WEIGHTS))


def test_the_program_runs_from_anywhere_and_exits_with_2(tmp_path):
    command = [sys.executable, program.__file__, "hors2zebra"]
    answer = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (answer.returncode, answer.stderr.count("\n")) == (2, 1)
