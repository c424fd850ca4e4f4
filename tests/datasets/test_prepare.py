"""The programs that pair, divide and check images, on small synthetic images."""

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from datasets import (
    combine_A_and_B,
    make_dataset_aligned,
    make_shapes,
    prepare_celeba,
    prepare_cityscapes_dataset,
    scale_images,
    split_dataset,
)
from util.errors import InputError

TOOLS = (
    combine_A_and_B,
    make_dataset_aligned,
    prepare_celeba,
    prepare_cityscapes_dataset,
    scale_images,
    split_dataset,
)
divide = split_dataset.divide


def paint(path, colour=(200, 30, 40), size=(12, 8)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


RED, BLUE = (200, 30, 40), (20, 40, 180)


@pytest.fixture
def sides(tmp_path):
    """A/train, A/test, B/train, B/test with 1.png to 3.png."""
    for side, colour in (("A", RED), ("B", BLUE)):
        for phase in ("train", "test"):
            for number in (1, 2, 3):
                paint(tmp_path / side / phase / f"{number}.png", colour)
    return tmp_path


def combine(root, *words):
    folders = [f"--fold_{side}={root / side}" for side in ("A", "B", "AB")]
    combine_A_and_B.main([*folders, "--no_multiprocessing", *words])
    return files_of(root / "AB")


def files_of(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def colours(path):
    """Colour of the left and of the right half."""
    pixels = np.asarray(Image.open(path).convert("RGB")).astype(int)
    width = pixels.shape[1]
    return tuple(
        tuple(part.mean((0, 1)).round().astype(int)) for part in (pixels[:, : width // 2], pixels[:, width // 2 :])
    )


# --- combine_A_and_B ---


def test_images_of_the_same_name_are_joined(sides, capsys):
    assert combine(sides) == [f"{phase}/{i}.png" for phase in ("test", "train") for i in (1, 2, 3)]
    assert Image.open(sides / "AB/train/1.png").size == (24, 8)
    assert colours(sides / "AB/train/1.png") == (RED, BLUE)
    assert "joined 6 of 6 pairs" in capsys.readouterr().out


def test_several_processes_give_the_same_result(sides):
    one = combine(sides)
    folders = ["--fold_A", str(sides / "A"), "--fold_B", str(sides / "B"), "--fold_AB", str(sides / "two")]
    combine_A_and_B.main([*folders, "--processes", "2"])
    assert files_of(sides / "two") == one


def test_images_without_a_partner_are_listed(sides, capsys):
    (sides / "B/train/2.png").unlink()
    paint(sides / "B/test/9.png")
    assert len(combine(sides)) == 5
    said = capsys.readouterr().out
    assert "1 images of A have no partner in B:\n  train/2.png" in said
    assert "1 images of B have no partner in A:\n  test/9.png" in said


def test_images_of_different_sizes_are_listed_or_scaled(sides, capsys):
    paint(sides / "B/train/2.png", size=(6, 4))
    assert "train/2.png" not in combine(sides)
    assert "train/2.png: A is 12 x 8, B is 6 x 4" in capsys.readouterr().out
    assert "train/2.png" in combine(sides, "--resize")
    assert Image.open(sides / "AB/train/2.png").size == (24, 8)


def test_unreadable_images_are_listed(sides, capsys):
    (sides / "A/train/2.png").write_bytes(b"not an image")
    assert len(combine(sides)) == 5
    assert "2.png: not an image" in capsys.readouterr().out


def test_files_with_different_extensions_are_joined_losslessly(sides):
    (sides / "B/train/1.png").unlink()
    paint(sides / "B/train/1.bmp", BLUE)
    assert "train/1.png" in combine(sides)
    (sides / "A/test/1.png").unlink()
    paint(sides / "A/test/1.jpg")
    combine(sides)
    assert colours(sides / "AB/test/1.png")[1] == BLUE


@pytest.mark.parametrize("ending", ["jpg", "JPEG", "tif", "webp", "ppm", "bmp"])
def test_images_of_any_type_are_joined(tmp_path, ending):
    for side, colour in (("A", RED), ("B", BLUE)):
        paint(tmp_path / side / f"1.{ending}", colour)
    assert combine(tmp_path) == [f"1.{ending}"]
    found = np.array(colours(tmp_path / f"AB/1.{ending}"))
    assert abs(found - [RED, BLUE]).max() <= 3


def test_num_imgs_limits_the_pairs_of_each_folder(sides):
    assert combine(sides, "--num_imgs", "2") == ["test/1.png", "test/2.png", "train/1.png", "train/2.png"]


def test_use_AB_joins_1_A_and_1_B_of_one_folder(tmp_path):
    for side, colour in (("A", RED), ("B", BLUE)):
        paint(tmp_path / "A/train" / f"1_{side}.png", colour)
    words = ["--fold_A", tmp_path / "A", "--fold_B", tmp_path / "A", "--fold_AB", tmp_path / "AB", "--use_AB"]
    combine_A_and_B.main([*map(str, words), "--no_multiprocessing"])
    assert files_of(tmp_path / "AB") == ["train/1.png"]
    assert colours(tmp_path / "AB/train/1.png") == (RED, BLUE)


def test_two_images_with_the_same_target_are_refused(sides):
    paint(sides / "A/train/1.jpg")
    with pytest.raises(InputError, match="would both become"):
        combine(sides)
    assert not (sides / "AB").exists()


def test_the_result_may_not_overwrite_the_sources(sides):
    with pytest.raises(InputError, match="three different folders"):
        combine_A_and_B.main(
            ["--fold_A", str(sides / "A"), "--fold_B", str(sides / "B"), "--fold_AB", str(sides / "A")]
        )


def test_folders_without_common_names_are_an_error(tmp_path):
    paint(tmp_path / "A/1.png")
    paint(tmp_path / "B/2.png")
    with pytest.raises(InputError, match="no image of A has its name in B"):
        combine(tmp_path)


# --- make_dataset_aligned ---


def align(root, *words):
    make_dataset_aligned.main(["--dataset-path", str(root), "--processes", "1", *words])
    return [name for name in files_of(root) if name.split("/")[0] in ("train", "val", "test")]


def test_images_are_paired_by_name_if_all_names_match(tmp_path, capsys):
    for side, colour in (("A", RED), ("B", BLUE)):
        for name in ("b", "a"):
            paint(tmp_path / f"train{side}" / f"{name}.jpg", colour)
    assert align(tmp_path) == ["train/a.png", "train/b.png"]
    assert "train: 2 pairs by name" in capsys.readouterr().out


def test_otherwise_images_are_paired_by_order_and_the_rule_is_printed(tmp_path, capsys):
    for phase in ("train", "test"):
        for name in ("x", "y"):
            paint(tmp_path / f"{phase}A" / f"{name}_photo.png", RED)
            paint(tmp_path / f"{phase}B" / f"{name}_label.png", BLUE)
    assert align(tmp_path) == ["test/0000.png", "test/0001.png", "train/0000.png", "train/0001.png"]
    said = capsys.readouterr().out
    assert "2 pairs by order" in said
    assert "x_photo.png with x_label.png" in said
    assert colours(tmp_path / "test/0001.png") == (RED, BLUE)


@pytest.mark.parametrize(
    ("more_A", "words", "said"),
    [
        (["9.png"], [], "2 images of A and 1 of B"),
        ([], ["--pair_by", "name"], "names of A and B differ"),
        ([], ["--pair_by", "chance"], "--pair_by"),
    ],
)
def test_folders_that_can_not_be_paired_are_refused(tmp_path, more_A, words, said):
    for name in ("1.png", *more_A):
        paint(tmp_path / "trainA" / name)
    paint(tmp_path / "trainB/2.png")
    with pytest.raises(InputError, match=said):
        align(tmp_path, *words)
    assert not (tmp_path / "train").exists()


def test_an_existing_result_is_not_changed(tmp_path):
    for name in ("trainA/1.png", "trainB/1.png", "train/precious.png"):
        paint(tmp_path / name)
    with pytest.raises(InputError, match="exists already"):
        align(tmp_path)
    assert files_of(tmp_path / "train") == ["precious.png"]


def test_a_folder_without_trainA_and_trainB_is_refused(tmp_path):
    with pytest.raises(InputError, match="none of trainA"):
        align(tmp_path)


# --- prepare_cityscapes_dataset ---


@pytest.fixture
def cities(tmp_path):
    for split, count in (("train", 3), ("val", 2)):
        for number in range(count):
            shot = f"aachen/aachen_{number:06d}_000019"
            paint(tmp_path / f"photo/{split}/{shot}_leftImg8bit.png", RED, (40, 20))
            paint(tmp_path / f"fine/{split}/{shot}_gtFine_color.png", BLUE, (40, 20))
    return tmp_path


def cityscapes(root, *words):
    where = ["--gtFine_dir", root / "fine", "--leftImg8bit_dir", root / "photo", "--output_dir", root / "out"]
    prepare_cityscapes_dataset.main([*map(str, where), "--size", "16", "--processes", "1", *words])
    return files_of(root / "out")


def test_cityscapes_is_written_in_both_layouts(cities):
    expected = []
    for split, count in (("test", 2), ("train", 3)):
        for side, mark in (("", ""), ("A", "_A"), ("B", "_B")):
            expected += [f"{split}{side}/{number}{mark}.jpg" for number in range(count)]
    assert cityscapes(cities) == sorted(expected)
    left, right = colours(cities / "out/train/0.jpg")
    assert left[0] > left[2]
    assert right[0] < right[2]
    assert Image.open(cities / "out/trainA/0_A.jpg").size == (16, 16)


def test_a_missing_photo_is_listed(cities, capsys):
    next((cities / "photo/train/aachen").iterdir()).unlink()
    assert len([name for name in cityscapes(cities) if name.startswith("train/")]) == 2
    assert "1 photos of train are missing" in capsys.readouterr().out


def test_the_wrong_cityscapes_folder_gives_one_line(cities):
    with pytest.raises(InputError, match="give the folders that hold train and val"):
        cityscapes(cities / "fine")


# --- split_dataset ---


@pytest.mark.parametrize("count", [1, 3, 10, 97])
def test_parts_have_the_given_fractions_and_are_repeatable(count):
    names = [f"{number}.png" for number in range(count)]
    parts = divide(names, (0.8, 0.1, 0.1), seed=1)
    assert parts == divide(names[::-1], (0.8, 0.1, 0.1), seed=1)
    assert parts.keys() == set(names)
    if count >= 10:
        assert abs(sum(part == "train" for part in parts.values()) - 0.8 * count) <= 0.5
    if count >= 3:
        assert set(parts.values()) == {"train", "val", "test"}
    if count > 10:
        assert parts != divide(names, (0.8, 0.1, 0.1), seed=2)


def test_the_parts_are_the_same_on_every_machine():
    parts = divide([str(number) for number in range(10)], (0.6, 0.2, 0.2))
    together = {part: "".join(sorted(name for name in parts if parts[name] == part)) for part in set(parts.values())}
    assert together == {"train": "234789", "val": "06", "test": "15"}


def split(root, *words):
    split_dataset.main([*map(str, words), "--to", str(root / "out")])
    return files_of(root / "out") if (root / "out").exists() else []


@pytest.fixture
def many(tmp_path):
    for side in ("A", "B"):
        for number in range(10):
            paint(tmp_path / side / f"{number}.{'png' if side == 'A' else 'jpg'}")
    for number in (1, 2):
        paint(tmp_path / "few" / f"{number}.png")
    return tmp_path


def test_both_domains_are_divided_into_the_folders_of_unaligned_data(many):
    found = split(many, "--A", many / "A", "--B", many / "B")
    folders = [name.split("/")[0] for name in found]
    assert {name: folders.count(name) for name in folders} == {
        **{"trainA": 8, "trainB": 8, "valA": 1},
        **{"valB": 1, "testA": 1, "testB": 1},
    }


def test_pairs_stay_together(many, capsys):
    (many / "A/3.png").unlink()
    found = split(many, "--A", many / "A", "--B", many / "B", "--paired", "--train", 0.5, "--val", 0, "--test", 0.5)
    sides = {side: {name[:-4].replace(side, "") for name in found if side in name} for side in ("A", "B")}
    assert sides["A"] == sides["B"]
    assert len(found) == 18
    assert "3.jpg" in capsys.readouterr().out


def test_one_folder_is_divided_by_hard_links(many):
    found = split(many, "--images", many / "A", "--how", "link")
    assert [name.split("/")[0] for name in found] == ["test"] + ["train"] * 8 + ["val"]
    assert os.path.samefile(many / "out" / found[0], many / "A" / found[0].split("/")[1])


def test_each_domain_is_divided_by_the_fractions(many):
    found = split(many, "--domains", many, "--train", 0.8, "--val", 0, "--test", 0.2)
    assert sum(name.startswith("test/A/") for name in found) == 2
    assert sum(name.startswith("train/B/") for name in found) == 8


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--images", "A", "--A", "A", "--B", "B"], "one of the three"),
        (["--A", "A"], "one of the three"),
        (["--images", "A", "--paired"], "--paired"),
        (["--images", "A", "--train", "0.5"], "must be 1"),
        (["--images", "nowhere"], "no such folder"),
        (["--images", "few"], "2 images are too few: the part"),
        (["--domains", "A"], "is not in a sub-folder"),
    ],
)
def test_bad_input_of_split_dataset_gives_one_line(many, monkeypatch, words, said):
    monkeypatch.chdir(many)
    with pytest.raises(InputError, match=said) as caught:
        split(many, *words)
    assert "\n" not in str(caught.value)
    assert not (many / "out").exists()


def test_a_folder_with_files_is_not_changed(many):
    paint(many / "out/mine.png")
    with pytest.raises(InputError, match="exists already"):
        split(many, "--images", many / "A")


# --- prepare_celeba ---


@pytest.fixture
def faces(tmp_path):
    make_shapes.make(tmp_path / "raw", "attributes", size=16, train=17, test=3)
    return tmp_path


def celeba(root, *words, attributes="list_attr_celeba.txt"):
    where = ["--images", root / "raw/images", "--attributes", root / "raw" / attributes, "--to", root / "out"]
    prepare_celeba.main([*map(str, where), "--processes", "1", *map(str, words)])
    return root / "out"


def test_celeba_is_checked_and_divided(faces, capsys):
    out = celeba(faces)
    assert (out / "list_attr_celeba.txt").read_text() == (faces / "raw/list_attr_celeba.txt").read_text()
    assert len(files_of(out / "images")) == 20
    parts = [line.split()[1] for line in (out / "list_eval_partition.txt").read_text().splitlines()]
    assert [parts.count(number) for number in "012"] == [16, 2, 2]
    assert "20 images with 6 attributes: train 16, val 2, test 2" in capsys.readouterr().out


def test_the_authors_partition_is_used(faces):
    out = celeba(faces, "--partition", faces / "raw/list_eval_partition.txt")
    assert (out / "list_eval_partition.txt").read_text() == (faces / "raw/list_eval_partition.txt").read_text()


def test_missing_broken_and_strange_images_are_listed(faces, capsys):
    images = faces / "raw/images"
    (images / "000001.png").unlink()
    (images / "000002.png").write_bytes(b"broken")
    paint(images / "stranger.png")
    out = celeba(faces)
    said = capsys.readouterr().out
    assert "1 rows have no image and are omitted:\n  000001.png" in said
    assert "1 images have no row and are omitted:\n  stranger.png" in said
    assert "000002.png: not an image" in said
    assert (out / "list_attr_celeba.txt").read_text().splitlines()[0] == "18"


def test_a_csv_file_gives_the_same_attributes(faces):
    _, names, *rows = (faces / "raw/list_attr_celeba.txt").read_text().splitlines()
    lines = [",".join(["image_id", *names.split()]), *(",".join(row.replace("-1", "0").split()) for row in rows)]
    (faces / "raw/table.csv").write_text("\n".join(lines))
    out = celeba(faces, attributes="table.csv")
    assert (out / "list_attr_celeba.txt").read_text() == (faces / "raw/list_attr_celeba.txt").read_text()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("hello\n", "begins neither"),
        ("3\nMale\n1.jpg 1\n", "gives 3 images, but 1 rows follow"),
        ("1\nMale Young\n1.jpg 1\n", "line 3: 1 values for 2 attributes"),
        ("1\nMale\n1.jpg yes\n", "line 3: the value 'yes'"),
        ("2\nMale\n1.jpg 1\n1.jpg 1\n", "line 4: 1.jpg has a row already"),
        ("file,Male\n1.jpg,2\n", "line 2: the value '2'"),
        ("1\nMale\nother.jpg 1\n", "none of them has a row"),
    ],
)
def test_a_bad_attribute_file_gives_one_line(faces, text, said):
    (faces / "raw/bad.txt").write_text(text)
    with pytest.raises(InputError, match=said) as caught:
        celeba(faces, attributes="bad.txt")
    assert "\n" not in str(caught.value)
    assert not (faces / "out").exists()


# --- all of them ---


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.__name__.split(".")[-1])
def test_help_works_and_bad_arguments_exit_with_2(tool, tmp_path, capsys):
    with pytest.raises(SystemExit) as left:
        tool.main(["-h"])
    assert not left.value.code
    assert "--dry_run" in capsys.readouterr().out
    program = (
        f"import runpy, sys; sys.argv = ['x', '--nonsense']; runpy.run_path({tool.__file__!r}, run_name='__main__')"
    )
    answer = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (answer.returncode, answer.stderr.count("\n")) == (2, 1)


def test_dry_runs_write_nothing(sides, capsys):
    combine(sides, "--dry_run")
    split(sides, "--A", sides / "A", "--B", sides / "B", "--dry_run")
    for phase in ("train", "test"):
        for side in "AB":
            (sides / side / phase).rename(sides / f"{phase}{side}")
    before = files_of(sides)
    align(sides, "--dry_run")
    assert files_of(sides) == before
    assert capsys.readouterr().out.count("would") == 4
