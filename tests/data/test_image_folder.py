import os
import tarfile
from pathlib import Path

import pytest
from data_help import make_opt, picture, save

from data import folders, image_folder, image_names, image_paths
from data.folders import find_images
from data.image_folder import IMG_EXTENSIONS, ImageFolder, default_loader, is_image_file, make_dataset
from data.loading import index
from data.pictures import open_image
from util.errors import InputError, Notice


def touch(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def found(root, **arguments):
    return [Path(path).relative_to(root).as_posix() for path in make_dataset(str(root), **arguments)]


@pytest.mark.parametrize("name", ["a.jpg", "a.Jpg", "a.JPEG", "a.png", "a.ppm", "a.bmp", "a.tif", "a.TIFF", "x/a.WebP"])
def test_names_with_an_image_extension_are_images(name):
    assert is_image_file(name)


@pytest.mark.parametrize("name", ["a.txt", "a.jpg.txt", "ajpg", ".png", ".a.jpg", "x/._a.jpg", "jpg", ""])
def test_names_without_an_image_extension_are_no_images(name):
    assert not is_image_file(name)


def test_extensions_are_listed_in_lower_and_upper_case():
    assert {".jpg", ".JPG", ".webp", ".TIFF"} <= set(IMG_EXTENSIONS)


def test_paths_are_sorted_as_text_and_then_truncated(tmp_path):
    touch(tmp_path, "b/2.jpg", "b/10.jpg", "a/z.PNG", "c.webp", "notes.txt", "B.jpg")
    assert found(tmp_path) == ["B.jpg", "a/z.PNG", "b/10.jpg", "b/2.jpg", "c.webp"]
    assert found(tmp_path, max_dataset_size=2) == ["B.jpg", "a/z.PNG"]
    assert found(tmp_path, max_dataset_size=100) == found(tmp_path)


def test_hidden_files_and_folders_are_left_out(tmp_path):
    touch(tmp_path, "a.jpg", ".b.jpg", "._a.jpg", ".thumbnails/a.jpg", ".ipynb_checkpoints/a-checkpoint.jpg")
    assert found(tmp_path) == ["a.jpg"]


def test_links_to_folders_are_followed_and_loops_end(tmp_path):
    touch(tmp_path, "elsewhere/x.jpg", "root/a/1.jpg", "root/2.jpg")
    root = tmp_path / "root"
    (root / "linked").symlink_to(tmp_path / "elsewhere")
    (root / "a" / "back").symlink_to(root)
    (root / "a" / "self").symlink_to(root / "a" / "self")
    assert found(root) == ["2.jpg", "a/1.jpg", "linked/x.jpg"]


def test_a_link_beside_its_target_is_listed_like_a_copy(tmp_path):
    touch(tmp_path, "a/1.jpg")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert found(tmp_path) == ["a/1.jpg", "b/1.jpg"]


def test_the_root_may_be_a_link_or_hidden(tmp_path):
    touch(tmp_path, ".cache/1.jpg")
    (tmp_path / "link").symlink_to(tmp_path / ".cache")
    assert found(tmp_path / "link") == found(tmp_path / ".cache") == ["1.jpg"]


def test_broken_links_to_images_are_listed(tmp_path):
    touch(tmp_path, "a.jpg")
    (tmp_path / "b.jpg").symlink_to(tmp_path / "a.jpg")
    (tmp_path / "c.jpg").symlink_to(tmp_path / "gone.jpg")
    assert found(tmp_path) == ["a.jpg", "b.jpg", "c.jpg"]
    with pytest.raises(InputError, match=r"c\.jpg: No such file"):
        default_loader(str(tmp_path / "c.jpg"))


def test_folders_and_pipes_with_image_names_are_no_images(tmp_path):
    touch(tmp_path, "a.jpg/1.png")
    os.mkfifo(tmp_path / "pipe.jpg")
    assert found(tmp_path) == ["a.jpg/1.png"]


def test_the_error_names_a_missing_folder(tmp_path):
    with pytest.raises(InputError, match="nowhere: there is no such folder"):
        make_dataset(tmp_path / "nowhere")


def test_the_ImageFolder_class_of_the_originals_works(tmp_path):
    path = save(tmp_path / "a.png", picture(5, 4))
    assert ImageFolder(str(tmp_path))[0].size == (5, 4)
    shown = ImageFolder(str(tmp_path), transform=lambda image: image.size, return_paths=True)
    assert (len(shown), shown[0]) == (1, ((5, 4), path))
    (tmp_path / "empty").mkdir()
    with pytest.raises(RuntimeError, match="no images"):
        ImageFolder(str(tmp_path / "empty"))


def pack(path, *names):
    with tarfile.open(path, "w") as tar:
        for name in names:
            tar.addfile(tarfile.TarInfo(name))


def test_extensions_that_a_plug_in_adds_are_listed(tmp_path, monkeypatch):
    touch(tmp_path, "a.dat", "b.jpg")
    pack(tmp_path / "c.tar", "1.DAT", "2.txt")
    assert found(tmp_path) == ["b.jpg"]
    monkeypatch.setattr(image_names, "_known", (0, ()))
    IMG_EXTENSIONS.append(".dat")
    try:
        assert found(tmp_path) == ["a.dat", "b.jpg", "c.tar/1.DAT"]
    finally:
        IMG_EXTENSIONS.remove(".dat")
    assert found(tmp_path) == ["b.jpg"]


def test_a_replaced_is_image_file_is_used(tmp_path, monkeypatch):
    touch(tmp_path, "keep_1.jpg", "2.jpg")
    pack(tmp_path / "c.tar", "keep_3.dat", "4.jpg")
    monkeypatch.setattr(image_folder, "is_image_file", lambda name: Path(name).name.startswith("keep_"))
    assert found(tmp_path) == ["c.tar/keep_3.dat", "keep_1.jpg"]


def test_a_stored_listing_made_under_other_rules_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("METAMER_NO_INDEX", "0")
    monkeypatch.setattr(image_paths, "BIG", 2)
    monkeypatch.setattr(index, "shows_changes", lambda stamps, moment: True)
    touch(tmp_path / "photos", "a.jpg", "b.jpg", "c.dat")
    assert found(tmp_path / "photos") == ["a.jpg", "b.jpg"]
    assert list((tmp_path / "cache").rglob("folder-*.json"))
    monkeypatch.setattr(image_folder, "is_image_file", lambda name: name.endswith(".dat"))
    assert found(tmp_path / "photos") == ["c.dat"]
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    IMG_EXTENSIONS.append(".dat")
    try:
        assert found(tmp_path / "photos") == ["a.jpg", "b.jpg", "c.dat"]
    finally:
        IMG_EXTENSIONS.remove(".dat")


def test_the_error_for_images_that_need_a_package_names_it(tmp_path, monkeypatch):
    readable = [ending for ending in image_names.EXTENSIONS if ending not in image_names.OPTIONAL]
    for module in (image_names, image_paths, folders):
        monkeypatch.setattr(module, "UNREAD", (".heic", ".avif"), raising=False)
    monkeypatch.setattr(image_names, "_known", (len(IMG_EXTENSIONS), tuple(readable)))
    touch(tmp_path / "trainA", "1.jpg", "2.HEIC", "3.avif", ".4.heic")
    with pytest.warns(Notice, match=r"trainA also has 1 \.heic, 1 \.avif files.* not read: \.heic needs the package"):
        assert found(tmp_path / "trainA") == ["1.jpg"]
    (tmp_path / "trainA" / "1.jpg").unlink()
    with pytest.raises(
        InputError, match=r"which are not read: \.heic needs the package pillow-heif; \.avif needs Pillow"
    ):
        find_images(make_opt(dataroot=str(tmp_path), dataset_mode="unaligned"), "trainA", ["trainA", "trainB"])
    with pytest.raises(InputError, match=r"2\.HEIC: \.heic files need the package pillow-heif"):
        open_image(tmp_path / "trainA" / "2.HEIC")


def test_images_of_unsupported_formats_beside_others_are_reported(tmp_path):
    touch(tmp_path / "trainA", "1.jpg", "2.GIF", "3.jfif", "notes.txt", "sub/4.psd", "sub/5.gif", ".6.gif")
    with pytest.warns(Notice, match=r"trainA also has 2 \.gif, 1 \.psd files, which are not read: convert them"):
        assert found(tmp_path / "trainA") == ["1.jpg", "3.jfif"]


def test_the_error_for_a_folder_without_images_lists_the_extensions_found(tmp_path):
    touch(tmp_path / "trainA", "1.gif", "2.GIF", "3.jxl", "notes.txt")
    opt = make_opt(dataroot=str(tmp_path), dataset_mode="unaligned")
    with pytest.raises(InputError, match=r"trainA has 2 \.gif, 1 \.jxl files, which are not read: convert them"):
        find_images(opt, "trainA", ["trainA", "trainB"])
    opt.dataroot, opt.dataset_mode = str(tmp_path), "single"
    with pytest.raises(InputError) as error:
        find_images(opt, "", [])
    assert "has 2 .gif, 1 .jxl files, which are not read" in str(error.value)
    opt.dataroot = str(tmp_path / "trainA")
    with pytest.raises(InputError) as error:
        find_images(opt, "", [])
    assert "trainA has 2 .gif" in str(error.value) and "nothing in it" not in str(error.value)
