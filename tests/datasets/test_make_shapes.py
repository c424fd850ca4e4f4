"""datasets/make_shapes.py: repeatable images, the layouts of the data modes, and correct true translations."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets import make_shapes
from datasets.make_shapes import labelled_scene, make
from datasets.shapes import ATTRIBUTES, COLOURS, COOL, WARM, Look, draw, flipped, look_of, random_scene
from util.errors import InputError

SMALL = {"size": 16, "train": 3, "test": 2}
PROGRAM = Path(make_shapes.__file__)


def files_of(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def pixels(path):
    return np.asarray(Image.open(path))


def run(*words):
    return subprocess.run([sys.executable, str(PROGRAM), *map(str, words)], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("kind", make_shapes.KINDS)
def test_equal_seeds_give_equal_bytes_and_different_seeds_do_not(kind, tmp_path):
    for name, seed in (("one", 5), ("two", 5), ("other", 6)):
        make(tmp_path / name, kind, seed=seed, **SMALL)
    one, two, other = (files_of(tmp_path / name) for name in ("one", "two", "other"))
    assert one == two
    assert one.keys() == other.keys()
    images = [name for name in one if name.endswith(".png")]
    assert sum(one[name] == other[name] for name in images) == 0


def test_pixels_have_the_stored_checksums():
    scene = random_scene(np.random.default_rng((0, 0, 0)))
    everything = b"".join(
        draw(scene, look, 64).tobytes() for look in (WARM, COOL, Look("Red_Fill", "framed", 1.4, True))
    )
    assert hashlib.sha256(everything).hexdigest() == PIXELS


PIXELS = "7ccddfc530297fbab204580e79f64448b61839a575d12affd9d9a7024ce0072d"


def test_more_images_do_not_change_the_first_ones(tmp_path):
    make(tmp_path / "few", **SMALL)
    make(tmp_path / "many", size=16, train=5, test=4)
    few, many = files_of(tmp_path / "few"), files_of(tmp_path / "many")
    assert all(many[name] == content for name, content in few.items() if name.endswith(".png"))


def test_no_global_random_generator_is_used(tmp_path):
    before = np.random.get_state()[1].tolist()
    make(tmp_path / "d", "attributes", **SMALL)
    assert np.random.get_state()[1].tolist() == before


def test_unpaired_layout_and_pairs_of_the_test_images(tmp_path):
    assert make(tmp_path / "d", **SMALL) == 10
    names = {folder: sorted(p.name for p in (tmp_path / "d" / folder).iterdir()) for folder in ("trainA", "trainB")}
    assert names["trainA"] == names["trainB"] == ["00001.png", "00002.png", "00003.png"]
    for folder in ("testA", "testB"):
        assert sorted(p.name for p in (tmp_path / "d" / folder).iterdir()) == ["00001.png", "00002.png"]
    image = Image.open(tmp_path / "d/trainA/00001.png")
    assert (image.size, image.mode) == ((16, 16), "RGB")


def test_the_same_name_shows_the_same_scene_in_test_images_only(tmp_path):
    make(tmp_path / "d", size=64, train=4, test=4)
    for index in range(1, 5):
        same = {phase: paper_in_common(tmp_path, f"{phase}A", f"{phase}B", index) for phase in ("train", "test")}
        assert same["test"] > 0.3
        assert same["train"] < 0.1


def paper_in_common(folder, one, other, index):
    """The share of equal pixels: backgrounds are equal if the scenes are, fills never are."""
    one, other = (pixels(folder / "d" / side / f"{index:05d}.png") for side in (one, other))
    return (one == other).all(-1).mean()


def test_training_images_never_appear_among_the_test_images(tmp_path):
    make(tmp_path / "d", size=16, train=20, test=20)
    files = {name: content for name, content in files_of(tmp_path / "d").items() if name.endswith(".png")}
    assert len(set(files.values())) == len(files)


def test_warm_shapes_become_cool_and_keep_their_order_of_lightness():
    warm, cool = [], []
    for tone in np.linspace(0, 1, 9):
        scene = random_scene(np.random.default_rng(3))
        scene = scene._replace(shapes=(scene.shapes[0]._replace(kind="disc", x=0.5, y=0.5, tone=tone),))
        warm.append(draw(scene, WARM, 64)[32, 32].astype(int))
        cool.append(draw(scene, Look("cool"), 64)[32, 32].astype(int))
    assert all(red > blue for red, _, blue in warm)
    assert all(blue > red for red, _, blue in cool)
    for side in (warm, cool):
        lightness = [colour.sum() for colour in side]
        assert lightness == sorted(lightness)


def test_paired_images_show_the_scenes_of_the_unpaired_ones(tmp_path):
    make(tmp_path / "pairs", "paired", **SMALL)
    make(tmp_path / "singles", **SMALL)
    assert {path.name for path in (tmp_path / "pairs").iterdir()} == {"train", "test", "dataset.json"}
    assert len(list((tmp_path / "pairs/train").iterdir())) == 3
    for name in ("00001.png", "00002.png"):
        both = pixels(tmp_path / "pairs/test" / name)
        assert both.shape == (16, 32, 3)
        assert (both[:, :16] == pixels(tmp_path / "singles/testA" / name)).all()
        assert (both[:, 16:] == pixels(tmp_path / "singles/testB" / name)).all()


def read_celeba(folder):
    """file -> set of its attributes, by the rules of CelebA's attribute file."""
    count, names, *rows = (folder / "list_attr_celeba.txt").read_text().rstrip("\n").split("\n")
    names, rows = names.split(), [row.split() for row in rows]
    assert int(count) == len(rows)
    assert all(len(row) == len(names) + 1 and set(row[1:]) <= {"1", "-1"} for row in rows)
    return {row[0]: {name for name, value in zip(names, row[1:]) if value == "1"} for row in rows}


def test_the_attribute_file_has_the_format_of_CelebA(tmp_path):
    make(tmp_path / "d", "attributes", size=16, train=40, test=8)
    rows = read_celeba(tmp_path / "d")
    assert sorted(rows) == sorted(path.name for path in (tmp_path / "d/images").iterdir())
    assert all(len(present & set(COLOURS)) == 1 for present in rows.values())
    for name in ATTRIBUTES:
        assert 5 < sum(name in present for present in rows.values()) < 43
    parts = dict(line.split() for line in (tmp_path / "d/list_eval_partition.txt").read_text().splitlines())
    assert list(parts.values()) == ["0"] * 40 + ["2"] * 8
    assert parts.keys() == rows.keys()


def test_true_images_of_attributes_are_the_scene_in_another_look(tmp_path):
    make(tmp_path / "d", "attributes", seed=4, **SMALL)
    for index, (file, present) in enumerate(read_celeba(tmp_path / "d").items()):
        scene, recorded = labelled_scene(4, index)
        assert recorded == present
        given = pixels(tmp_path / "d/images" / file)
        assert (given == draw(scene, look_of(present), 16)).all()
        for name in ATTRIBUTES:
            truth = pixels(tmp_path / "d/truth" / name / file)
            assert (truth == draw(scene, look_of(flipped(present, name)), 16)).all()
            stays = name in COLOURS and name in present
            assert (truth == given).all() == stays


def test_flipping_keeps_one_colour():
    assert flipped({"Red_Fill", "Large"}, "Blue_Fill") == {"Blue_Fill", "Large"}
    assert flipped({"Red_Fill", "Large"}, "Red_Fill") == {"Red_Fill", "Large"}
    assert flipped({"Red_Fill", "Large"}, "Large") == {"Red_Fill"}
    assert flipped({"Red_Fill"}, "Striped") == {"Red_Fill", "Striped"}


@pytest.mark.parametrize("index", range(30))
def test_shapes_do_not_touch_even_when_large(index):
    scene, _ = labelled_scene(0, index)
    assert len(scene.shapes) >= 3
    for number, one in enumerate(scene.shapes):
        reach = one.radius * look_of({"Large", "Red_Fill"}).growth
        assert min(one.x, one.y, 1 - one.x, 1 - one.y) > reach
        for other in scene.shapes[number + 1 :]:
            distance = ((one.x - other.x) ** 2 + (one.y - other.y) ** 2) ** 0.5
            assert distance > (one.radius + other.radius) * look_of({"Large", "Red_Fill"}).growth


def test_each_folder_is_a_domain_and_test_scenes_are_shared(tmp_path):
    make(tmp_path / "d", "folders", size=64, train=2, test=2)
    assert {p.name for p in (tmp_path / "d/train").iterdir()} == {"plain", "striped", "framed"}
    assert paper_in_common(tmp_path, "test/plain", "test/striped", 1) > 0.3
    assert paper_in_common(tmp_path, "test/plain", "test/framed", 2) > 0.3
    assert paper_in_common(tmp_path, "train/plain", "train/framed", 1) < 0.1
    assert paper_in_common(tmp_path, "test/plain", "test/framed", 1) < 1


def test_a_scene_can_be_drawn_at_any_size():
    scene = random_scene(np.random.default_rng(1))
    large = Image.fromarray(draw(scene, WARM, 192)).resize((48, 48), Image.Resampling.BOX)
    difference = np.abs(np.asarray(large).astype(int) - draw(scene, WARM, 48))
    assert difference.mean() < 1


def test_a_second_call_with_the_same_arguments_does_nothing(tmp_path):
    make(tmp_path / "d", **SMALL)
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "d").rglob("*")}
    assert make(tmp_path / "d", **SMALL) == 0
    assert times == {path: path.stat().st_mtime_ns for path in (tmp_path / "d").rglob("*")}


def test_other_arguments_are_refused_without_overwrite(tmp_path):
    make(tmp_path / "d", **SMALL)
    with pytest.raises(InputError, match=r"another dataset \(seed 0\); --overwrite"):
        make(tmp_path / "d", seed=1, **SMALL)
    assert make(tmp_path / "d", seed=1, overwrite=True, **SMALL) == 10
    assert json.loads((tmp_path / "d/dataset.json").read_text())["seed"] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["d"]


def test_a_missing_image_is_noticed(tmp_path):
    make(tmp_path / "d", **SMALL)
    (tmp_path / "d/trainA/00002.png").unlink()
    with pytest.raises(InputError, match="images are missing"):
        make(tmp_path / "d", **SMALL)
    make(tmp_path / "d", overwrite=True, **SMALL)
    assert (tmp_path / "d/trainA/00002.png").is_file()


@pytest.mark.parametrize("overwrite", [False, True])
def test_other_files_are_never_changed(tmp_path, overwrite):
    (tmp_path / "d").mkdir()
    (tmp_path / "d/thesis.tex").write_text("precious")
    with pytest.raises(InputError, match="holds other files"):
        make(tmp_path / "d", overwrite=overwrite, **SMALL)
    assert files_of(tmp_path) == {"d/thesis.tex": b"precious"}


def test_overwrite_is_refused_if_the_folder_has_other_files(tmp_path):
    make(tmp_path / "d", **SMALL)
    (tmp_path / "d/notes").mkdir()
    with pytest.raises(InputError, match="notes in it would be lost"):
        make(tmp_path / "d", seed=1, overwrite=True, **SMALL)
    assert (tmp_path / "d/notes").is_dir()


def test_an_empty_folder_and_a_missing_parent_are_accepted(tmp_path):
    (tmp_path / "empty").mkdir()
    assert make(tmp_path / "empty", **SMALL) == 10
    assert make(tmp_path / "a/b/c", **SMALL) == 10


def test_a_link_to_a_folder_is_followed(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    make(tmp_path / "link", **SMALL)
    make(tmp_path / "link", seed=1, overwrite=True, **SMALL)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real/dataset.json").is_file()


def test_an_interrupted_run_leaves_no_files(tmp_path, monkeypatch):
    def stopping(size, train, test, seed):
        yield "trainA/1.png", np.zeros((4, 4, 3), np.uint8)
        raise KeyboardInterrupt

    monkeypatch.setitem(make_shapes.KINDS, "unpaired", stopping)
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "d", **SMALL)
    assert list(tmp_path.iterdir()) == []


def test_the_old_dataset_is_kept_after_a_failed_rename(tmp_path, monkeypatch):
    make(tmp_path / "d", **SMALL)
    before, rename = files_of(tmp_path / "d"), Path.rename

    def failing(self, target):
        if Path(target).name == "d" and not self.name.endswith(".old"):
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(InputError, match="No space left"):
        make(tmp_path / "d", seed=1, overwrite=True, **SMALL)
    assert files_of(tmp_path) == {f"d/{name}": content for name, content in before.items()}


def test_the_program_prints_what_it_wrote(tmp_path):
    words = ("--to", tmp_path / "d", "--size", 16, "--train", 2, "--test", 1)
    first, second = run(*words), run(*words)
    assert (first.returncode, second.returncode) == (0, 0)
    assert "6 images written" in first.stdout
    assert "nothing to do" in second.stdout


def test_help_lists_the_kinds():
    answer = run("-h")
    assert answer.returncode == 0
    assert all(kind in answer.stdout for kind in make_shapes.KINDS)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "--to"),
        (["--kind", "pared"], "pared"),
        (["--size", "8"], "--size"),
        (["--train", "0"], "--train"),
        (["--test", "many"], "--test"),
        (["--seed", "-1"], "--seed"),
        (["--sizes", "32"], "--size"),
    ],
)
def test_a_bad_value_gives_one_line(words, said, tmp_path, capsys):
    words = ["--to", str(tmp_path / "d"), *words] if words else []
    with pytest.raises(InputError) as caught:
        make_shapes.main(words)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_the_program_exits_with_2_and_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    answer = run("--to", tmp_path / "file")
    assert answer.returncode == 2
    assert answer.stderr.count("\n") == 1
    assert "is a file" in answer.stderr
