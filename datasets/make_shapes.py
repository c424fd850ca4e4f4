"""Make a small dataset with known true translations: scenes of shapes, drawn in every domain.

    python datasets/make_shapes.py --to datasets/shapes                            (CycleGAN, CUT: trainA ... testB)
    python datasets/make_shapes.py --to datasets/shapes_paired --kind paired       (pix2pix: train, test)
    python datasets/make_shapes.py --to datasets/shapes_faces --kind attributes    (StarGAN: attribute file)
    python datasets/make_shapes.py --to datasets/shapes_folders --kind folders     (StarGAN: a folder per domain)

A is a plain warm shape, B the same shape in cool stripes. Training images of A and B show different scenes; test
images with the same name show the same scene, so that scripts/measure.py can measure a translation.
"""

import contextlib
import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from shapes import ATTRIBUTES, COLOURS, COOL, GROWTH, PATTERNS, WARM, Look, draw, flipped, look_of, random_scene

from options.parser import OptionParser
from util.errors import InputError, clear_errors
from util.flags import Int
from util.show.bar import Bar

RECIPE = "dataset.json"
VERSION = 1  # increased when the same arguments give other pixels

# A scene is a function of (seed, role, index), so requesting more images does not change the first ones.
ROLES = ("trainA", "trainB", "test", "attributes", *PATTERNS)


def generator_at(seed, role, index):
    return np.random.default_rng((seed, ROLES.index(role), index))


def unpaired(size, train, test, seed):
    """(path, image) pairs: trainA and trainB show different scenes, testA and testB the same."""
    for index in range(train):
        for folder, look in (("trainA", WARM), ("trainB", COOL)):
            yield f"{folder}/{index + 1:05d}.png", draw(random_scene(generator_at(seed, folder, index)), look, size)
    for index in range(test):
        scene = random_scene(generator_at(seed, "test", index))
        yield f"testA/{index + 1:05d}.png", draw(scene, WARM, size)
        yield f"testB/{index + 1:05d}.png", draw(scene, COOL, size)


def paired(size, train, test, seed):
    """(path, image) pairs with A on the left and B on the right, of the scenes of `unpaired`'s trainA and testA."""
    for folder, role, count in (("train", "trainA", train), ("test", "test", test)):
        for index in range(count):
            scene = random_scene(generator_at(seed, role, index))
            sides = [draw(scene, look, size) for look in (WARM, COOL)]
            yield f"{folder}/{index + 1:05d}.png", np.concatenate(sides, axis=1)


def attributes(size, train, test, seed):
    """Files in CelebA's layout: images, list_attr_celeba.txt, and list_eval_partition.txt (0 = train, 2 = test).

    truth/<Attribute>/<file> is the true translation to this attribute: a colour replaces the former colour, other
    attributes are flipped.
    """
    count = train + test
    rows, parts = [str(count), " ".join(ATTRIBUTES)], []
    for index in range(count):
        name = f"{index + 1:06d}.png"
        scene, present = labelled_scene(seed, index)
        yield f"images/{name}", draw(scene, look_of(present), size)
        for attribute in ATTRIBUTES:
            yield f"truth/{attribute}/{name}", draw(scene, look_of(flipped(present, attribute)), size)
        rows.append(" ".join([name, *(" 1" if attribute in present else "-1" for attribute in ATTRIBUTES)]))
        parts.append(f"{name} {0 if index < train else 2}")
    yield "list_attr_celeba.txt", "\n".join(rows) + "\n"
    yield "list_eval_partition.txt", "\n".join(parts) + "\n"


def labelled_scene(seed, index):
    """The scene of image `index` (from 0) of the kind `attributes`, and the set of its attributes.

    ``draw(scene, look_of(names), size)`` is the true image for any set of attributes.
    """
    generator = generator_at(seed, "attributes", index)
    present = {COLOURS[generator.integers(len(COLOURS))]}
    present |= {name for name in ATTRIBUTES if name not in COLOURS and generator.random() < 0.5}
    return random_scene(generator, room=GROWTH), present


def folders(size, train, test, seed):
    """(path, image) pairs: a domain for each pattern. Training scenes differ between domains, test scenes do not."""
    for domain in PATTERNS:
        for folder, count in (("train", train), ("test", test)):
            for index in range(count):
                generator = generator_at(seed, domain if folder == "train" else "test", index)
                look = Look(COLOURS[generator.integers(len(COLOURS))], domain)
                yield f"{folder}/{domain}/{index + 1:05d}.png", draw(random_scene(generator), look, size)


KINDS = {"unpaired": unpaired, "paired": paired, "attributes": attributes, "folders": folders}


def make(folder, kind="unpaired", size=64, train=300, test=40, seed=0, overwrite=False):
    """Write a dataset to `folder`; returns the number of images, or 0 if the folder holds the same dataset already.

    The folder appears only when it is complete. InputError if it holds other files; `overwrite` replaces only a dataset
    that this function made.
    """
    folder = Path(folder).resolve()
    recipe = {"made_by": "make_shapes", "version": VERSION, "kind": kind}
    recipe |= {"size": size, "train": train, "test": test, "seed": seed}
    if _is_there(folder, recipe, overwrite):
        return 0
    beside = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        beside.mkdir(parents=True)
        images = _write_all(beside, Bar(None, "files", kind).over(KINDS[kind](size, train, test, seed)))
        recipe |= {"images": images, "holds": sorted([RECIPE, *os.listdir(beside)])}
        (beside / RECIPE).write_text(json.dumps(recipe, indent=1) + "\n", encoding="utf-8")
        _put_in_place(beside, folder)
    except OSError as error:
        raise InputError(f"{folder}: can't be written ({error.strerror or error})") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return images


def _is_there(folder, recipe, overwrite):
    """True if `folder` holds the dataset of `recipe`; InputError if it holds something that must not be lost."""
    if not folder.exists():
        return False
    if not folder.is_dir():
        raise InputError(f"--to {folder}: is a file; name a folder")
    if not any(folder.iterdir()):
        return False
    found = _read_recipe(folder)
    if found is None:
        raise InputError(f"--to {folder}: holds other files; name a new or empty folder")
    if overwrite:
        strangers = sorted(set(os.listdir(folder)) - set(found.get("holds", ())))
        if strangers:
            raise InputError(f"--to {folder}: {strangers[0]} in it would be lost; move it away first")
        return False
    other = ", ".join(f"{key} {found.get(key)}" for key in recipe if found.get(key) != recipe[key])
    if other:
        raise InputError(f"--to {folder}: holds another dataset ({other}); --overwrite replaces it")
    if found.get("images") != sum(1 for _ in folder.rglob("*.png")):
        raise InputError(f"--to {folder}: holds this dataset, but images are missing; --overwrite replaces it")
    return True


def _read_recipe(folder):
    with contextlib.suppress(OSError, ValueError):
        recipe = json.loads((folder / RECIPE).read_text(encoding="utf-8"))
        if isinstance(recipe, dict) and recipe.get("made_by") == "make_shapes":
            return recipe
    return None


def _write_all(folder, files):
    images = 0
    for name, content in files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            path.write_text(content, encoding="utf-8", newline="\n")
        else:
            Image.fromarray(content).save(path)
            images += 1
    return images


def _put_in_place(made, folder):
    """Rename `made` to `folder`. An existing folder is renamed first and deleted last, so that no error loses it."""
    old = made.with_name(made.name + ".old")
    if folder.exists():
        folder.rename(old)
    try:
        made.rename(folder)
    except OSError:
        if old.exists():
            old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def read_options(command_line):
    parser = OptionParser(command_line)
    parser.description = "Make a small dataset of shapes whose true translations are known."
    parser.add_argument("--to", required=not parser.wants_help(), metavar="DIR", help="folder to create")
    parser.add_argument(
        "--kind",
        default="unpaired",
        choices=KINDS,
        help="unpaired: trainA, trainB, testA, testB; "
        "paired: A and B side by side; attributes: CelebA's layout; folders: a folder per domain",
    )
    parser.add_argument("--size", type=Int(16, 2048), default=64, help="height and width of an image in pixels")
    parser.add_argument("--train", type=Int(1, 99999), default=300, help="training images of each domain, or pairs")
    parser.add_argument("--test", type=Int(1, 99999), default=40, help="test images of each domain, or pairs")
    parser.add_argument("--seed", type=Int(0), default=0, help="equal seeds give equal images")
    parser.add_argument("--overwrite", action="store_true", help="replace another dataset of this program")
    return vars(parser.parse_or_help())


def main(command_line=None):
    options = read_options(sys.argv[1:] if command_line is None else command_line)
    folder = options.pop("to")
    images = make(folder, **options)
    print(f"{folder}: {images} images written" if images else f"{folder}: exists already, nothing to do")


if __name__ == "__main__":
    with clear_errors():
        main()
