"""Images with labels: attribute files, folders of domains, both together, crop sizes, and errors."""

import random

import numpy as np
import pytest
import torch
from data_help import make_opt, picture, save
from PIL import Image

import data
from data.labelled import centre_crop, read_attributes, split
from util.errors import InputError

NAMES = ("Black_Hair", "Male", "Young")
FIELDS = {
    "phase": "train",
    "selected_attrs": ["Male", "Black_Hair"],
    "domains": [],
    "image_size": 16,
    "celeba_crop_size": None,
    "rafd_crop_size": None,
    "attr_path": None,
    "celeba_image_dir": None,
    "rafd_image_dir": None,
}


def options(root, mode, **fields):
    training = fields.get("phase", "train") == "train"
    return make_opt(root, dataset_mode=mode, **{**FIELDS, "isTrain": training, "no_flip": not training, **fields})


def attributes(root, images=20, table=False, folder="images"):
    """An attribute file and its images; the n-th is Black_Hair if n is even, Male if n is a multiple of 3."""
    rows = [(f"{n:06d}.png", n % 2 == 0, n % 3 == 0, True) for n in range(images)]
    for name, *_ in rows:
        save(root / folder / name, picture(k=int(name[:6])))
    if table:
        lines = [",".join(("image", *NAMES)), *(",".join((name, *(str(int(v)) for v in row))) for name, *row in rows)]
        (root / "labels.csv").write_text("\n".join(lines) + "\n")
    else:
        lines = [" ".join((name, *(" 1" if v else "-1" for v in row))) for name, *row in rows]
        (root / "list_attr_celeba.txt").write_text("\n".join([str(images), " ".join(NAMES) + " ", *lines, ""]))
    return root


def folders(root, phase="train", **counts):
    for domain, count in counts.items():
        for number in range(count):
            save(root / phase / domain / f"{number}.png", picture(k=number))
    return root


def dataset(root, mode, **fields):
    return data.find_dataset_using_name(mode)(options(root, mode, **fields))


@pytest.mark.parametrize("table", [False, True])
def test_labels_are_in_the_order_of_selected_attrs(tmp_path, table):
    made = dataset(attributes(tmp_path, table=table), "celeba")
    assert len(made) == 18
    for item in (made[index] for index in range(len(made))):
        number = int(item["A_paths"][-10:-4])
        assert item["label"].tolist() == [number % 3 == 0, number % 2 == 0]
        assert item["label"].dtype == torch.float32
        assert item["A"].shape == (3, 16, 16) and item["A"].abs().max() <= 1


def test_the_split_is_the_released_one_and_leaves_global_generators_alone():
    rows = list(range(5000))
    random.seed(5)
    before = random.getstate()
    training, tests = split(rows, True), split(rows, False)
    assert random.getstate() == before
    random.seed(1234)
    random.shuffle(rows)
    assert (tests, training) == (rows[:1999], rows[1999:])


@pytest.mark.parametrize(("rows", "tests"), [(3998, 1999), (3997, 399), (2010, 201), (15, 1), (2, 1)])
def test_a_small_dataset_keeps_a_tenth_for_tests(rows, tests):
    training = split(list(range(rows)), True)
    assert len(split(list(range(rows)), False)) == tests and len(training) == rows - tests


def test_training_and_tests_share_no_image(tmp_path, capsys):
    root = attributes(tmp_path)
    first, second = (set(dataset(root, "celeba", phase=phase).paths) for phase in ("train", "test"))
    assert (len(first), len(second)) == (18, 2) and not first & second
    assert "20 images, 18 for training and 2 for tests" in capsys.readouterr().out


def test_a_test_reads_a_plain_folder(tmp_path):
    made = dataset(folders(tmp_path, "mine", any=3), "celeba", phase="test")
    assert len(made) == 3 and "label" not in made[0]


def spoil(root, old, new):
    file = root / "list_attr_celeba.txt"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("000003.png -1  1  1", "000003.png -1  1", ["line 6", "2 values for 3 attributes"]),
        ("000003.png -1  1  1", "000003.png -1  2  1", ["line 6", "Male of 000003.png is '2'", "1, 0 or -1"]),
        ("20\n", "", ["must begin with", "header"]),
        ("Male", "Mael", ["--selected_attrs Male", "did you mean 'Mael'"]),
        ("000003.png", "000003.jpg", ["000003.jpg: no such image", "1 of 18"]),
    ],
)
def test_a_bad_attribute_file_gives_one_line(tmp_path, old, new, said):
    spoil(attributes(tmp_path), old, new)
    with pytest.raises(InputError) as caught:
        dataset(tmp_path, "celeba")
    assert all(words in str(caught.value) for words in said) and "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "3\n", "3\nMale Young\n", "image,Male\n", "\x00\x01"])
def test_an_empty_attribute_file_gives_one_line(tmp_path, text):
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(InputError, match=r"a\.txt"):
        read_attributes(tmp_path / "a.txt", ["Male"])


def test_values_may_be_1_0_or_minus_1(tmp_path):
    (tmp_path / "a.csv").write_text("\ufeffimage, Male\na.png,1\nb.png, 0\n\nc.png,-1\nd.png,1.0\n")
    assert [label for _, label in read_attributes(tmp_path / "a.csv", ["Male"])] == [[1.0], [0.0], [0.0], [1.0]]


def test_the_error_without_an_attribute_file_states_the_expected_files(tmp_path):
    with pytest.raises(InputError, match=r"no attribute file .*list_attr_celeba\.txt.*--attr_path") as caught:
        dataset(folders(tmp_path, any=2), "celeba")
    assert "--dataset_mode labelled_folders" in str(caught.value)
    with pytest.raises(InputError, match="there is no such folder"):
        dataset(tmp_path / "nowhere", "celeba")


def test_folders_are_domains(tmp_path, capsys):
    root = folders(tmp_path, cat=2, dog=3)
    made = dataset(root, "labelled_folders", domains=["dog", "cat"])
    assert [made[index]["label"] for index in range(5)] == [0, 0, 0, 1, 1]
    assert "3 dog, 2 cat" in capsys.readouterr().out
    (tmp_path / "flat").mkdir()
    for domain in ("cat", "dog"):
        (root / "train" / domain).rename(tmp_path / "flat" / domain)
    assert len(dataset(tmp_path / "flat", "labelled_folders", domains=["cat", "dog"])) == 5


@pytest.mark.parametrize(
    ("domains", "said"), [(["cat", "cow"], "no folder of that name"), (["cat"], "at least two"), ([], "at least two")]
)
def test_missing_domain_folders_are_refused(tmp_path, domains, said):
    with pytest.raises(InputError, match=said):
        dataset(folders(tmp_path, cat=1, dog=1), "labelled_folders", domains=domains)


def test_a_test_of_labelled_folders_reads_any_folder(tmp_path):
    inside = folders(tmp_path / "a", "test", cat=1, dog=2, elephant=1)
    for root, count in ((inside, 4), (inside / "test" / "dog", 2)):
        made = dataset(root, "labelled_folders", phase="test", domains=["cat", "dog"])
        assert len(made) == count and "label" not in made[0]


def both(tmp_path, images=20, cat=3, dog=2, **fields):
    root = folders(attributes(tmp_path, images), cat=cat, dog=dog)
    return options(root, "celeba_and_folders", domains=["cat", "dog"], batch_size=4, **fields)


def test_batches_alternate_between_both_datasets_and_mask_unknown_labels(tmp_path):
    loader = data.create_dataset(both(tmp_path))
    loader.set_epoch(1)
    seen = []
    for number, batch in enumerate(loader):
        assert batch["label"].shape == (4, 2 + 2 + 2)
        assert batch["label"][:, -2:].tolist() == [[1, 0], [0, 1]][number % 2 :][:1] * 4
        unknown = slice(2, 4) if number % 2 == 0 else slice(0, 2)
        assert not batch["label"][:, unknown].any()
        seen += batch["A_paths"]
    assert number + 1 == 2 * 5 == loader.batches_per_epoch()  # 18 images with attributes, in batches of 4
    assert len(set(seen)) == 18 + 5
    assert len([path for path in seen if "images" not in path]) == 20


def test_both_datasets_are_shuffled_in_every_epoch(tmp_path):
    loader = data.create_dataset(both(tmp_path))
    orders = []
    for epoch in (1, 2, 1):
        loader.set_epoch(epoch)
        orders.append([path for batch in loader for path in batch["A_paths"]])
    assert orders[0] == orders[2] != orders[1]


def test_a_name_of_an_attribute_and_a_domain_is_refused(tmp_path):
    opt = both(tmp_path)
    opt.domains = ["cat", "Male"]
    folders(tmp_path, Male=2)
    with pytest.raises(InputError, match="Male"):
        data.create_dataset(opt)


def test_a_test_of_both_datasets_reads_both_or_a_plain_folder(tmp_path):
    root = folders(attributes(tmp_path), "test", cat=2)
    made = dataset(root, "celeba_and_folders", phase="test", domains=["cat", "dog"])
    assert [made[index]["label"][-2:].tolist() for index in range(4)] == [[1, 0], [1, 0], [0, 0], [0, 0]]
    plain = dataset(root / "images", "celeba_and_folders", phase="test", domains=["cat", "dog"])
    assert len(plain) == 20 and not plain[0]["label"].any()


@pytest.mark.parametrize("size", [(24, 31), (31, 24), (13, 13), (7, 30), (30, 7), (6, 5)])
@pytest.mark.parametrize("crop", [13, 14])
def test_the_centre_crop_is_that_of_torchvision(size, crop):
    torchvision = pytest.importorskip("torchvision.transforms.functional")
    image = picture(*size)
    ours, theirs = centre_crop(image, crop), torchvision.center_crop(image, [crop, crop])
    assert np.array_equal(np.asarray(ours), np.asarray(theirs))


@pytest.mark.parametrize(("size", "usual", "side"), [((89, 109), 178, 89), ((178, 218), 178, 178), ((10, 10), 4, 4)])
def test_the_default_crop_is_at_most_the_short_side(size, usual, side):
    assert centre_crop(picture(*size), None, usual).size == (side, side)


def test_the_crop_is_printed_and_gray_images_become_rgb(tmp_path, capsys):
    root = folders(tmp_path, cat=1, dog=1)
    Image.new("L", (30, 20), 128).save(root / "train" / "cat" / "0.png")
    made = dataset(root, "labelled_folders", domains=["cat", "dog"], rafd_crop_size=24)
    assert "images of 30x20: the central 24x24 with black borders" in capsys.readouterr().out
    assert made[0]["A"].shape == (3, 16, 16) and made[0]["A"][:, 0].max() < 0 < made[0]["A"][:, 8].max() + 0.1
    assert dataset(root, "labelled_folders", domains=["cat", "dog"], input_nc=1)[0]["A"].shape == (1, 16, 16)


def test_training_flips_images_and_tests_do_not(tmp_path):
    root = folders(tmp_path, cat=1, dog=1)
    random.seed(0)
    made = dataset(root, "labelled_folders", domains=["cat", "dog"])
    assert len({made[0]["A"].numpy().tobytes() for _ in range(20)}) == 2
    still = dataset(root / "train", "labelled_folders", phase="test", domains=["cat", "dog"])
    assert len({still[0]["A"].numpy().tobytes() for _ in range(20)}) == 1
