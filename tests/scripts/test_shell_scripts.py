"""The shell scripts: each is valid bash, and the commands that it runs work (with tiny sizes)."""

import subprocess
import sys
from pathlib import Path

import pytest

import models
import test as test_program
import train as train_program
from datasets import make_shapes
from datasets.download import read_options as download_options

ROOT = Path(__file__).resolve().parent.parent.parent
TRAINING = sorted((ROOT / "scripts").glob("train_*.sh"))
DOORS = sorted([*(ROOT / "scripts").glob("download_*.sh"), *(ROOT / "datasets").glob("download_*.sh")])

SHAPES = {
    "unaligned": "unpaired",
    "aligned": "paired",
    "colorization": "paired",
    "celeba": "attributes",
    "singleimage": "one pair",
}
ONE_EPOCH = "--n_epochs 1 --n_epochs_decay 0 --max_dataset_size 2 --num_threads 0 --device cpu --display_id 0".split()
TINY = {
    "pix2pix": "--ngf 2 --ndf 2",  # its unet_256 takes multiples of 256 only
    "colorization": "--ngf 2 --ndf 2",
    "sincut": "--ngf 2 --ndf 2 --batch_size 2 --crop_size 32",
    "stargan": "--g_conv_dim 4 --d_conv_dim 4 --image_size 64 --batch_size 2 --n_critic 1 "
    "--selected_attrs Large Striped",
}
USUAL = "--ngf 4 --ndf 4 --netG resnet_4blocks --load_size 68 --crop_size 64"
TINY_LAYERS = {"cut": "0,4,8", "fastcut": "0,4,8", "dclgan": "4,8", "simdcl": "4,8"}  # resnet_4blocks has fewer


def words_of(script, tmp_path, *more):
    """The arguments that a script passes to Python, from a fake interpreter that prints them."""
    echo = tmp_path / "echo.sh"
    echo.write_text('#!/usr/bin/env bash\nprintf "%s\\n" "$@"\n')
    echo.chmod(0o755)
    answer = subprocess.run(
        ["bash", str(script), *more], cwd=tmp_path, env={"PATH": "/usr/bin:/bin", "PYTHON": str(echo)}, text=True,
        capture_output=True, timeout=20,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.splitlines()


def value_of(words, flag):
    return words[words.index(flag) + 1]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    made = {}

    def make(mode):
        kind = SHAPES[mode]
        if kind not in made:
            made[kind] = tmp_path_factory.mktemp(kind) / "data"
            train = {"attributes": 20, "one pair": 1}.get(kind, 2)
            make_shapes.make(made[kind], "unpaired" if kind == "one pair" else kind, size=64, train=train, test=1)
        return made[kind]

    return make


def mode_of(model):
    modes = {"pix2pix": "aligned", "colorization": "colorization", "stargan": "celeba", "sincut": "singleimage"}
    return modes.get(model, "unaligned")


@pytest.mark.parametrize("script", TRAINING, ids=lambda path: path.stem)
def test_a_training_script_and_its_test_script_run(script, data, tmp_path):
    program, *words = words_of(script, tmp_path)
    assert program == "train.py"
    model = value_of(words, "--model")
    if model not in models.BUILT_IN:
        pytest.skip(f"--model {model} is not there yet")
    dataroot = data(mode_of(model))
    where = ["--checkpoints_dir", str(tmp_path / "runs"), "--dataroot", str(dataroot)]
    layers = ["--nce_layers", TINY_LAYERS[model]] if model in TINY_LAYERS else []
    train_program.main([*words, *where, *ONE_EPOCH, *TINY.get(model, USUAL).split(), *layers])

    program, *test_words = words_of(script.with_name(script.name.replace("train_", "test_")), tmp_path)
    assert program == "test.py"
    assert value_of(test_words, "--name") == value_of(words, "--name")
    test_program.main([*test_words, *where, "--results_dir", str(tmp_path / "results"), "--device", "cpu"])
    assert list((tmp_path / "results").rglob("index.html"))
    assert list((tmp_path / "results").rglob("*fake_B*.png")) or model == "stargan"


def test_the_single_script_runs_one_direction_of_its_run(data, tmp_path):
    _, *trained = words_of(ROOT / "scripts/train_cyclegan.sh", tmp_path)
    runs = ["--checkpoints_dir", str(tmp_path / "runs"), "--device", "cpu"]
    tiny = [*ONE_EPOCH, *USUAL.split(), "--netG", "resnet_4blocks"]
    train_program.main([*trained, *runs, "--dataroot", str(data("unaligned")), *tiny])
    program, *words = words_of(ROOT / "scripts/test_single.sh", tmp_path)
    assert program == "test.py"
    test_program.main([*words, *runs, "--dataroot", str(data("unaligned") / "testA"), "--results_dir", str(tmp_path)])
    assert list(tmp_path.rglob("*_fake.png"))


def test_every_model_has_its_scripts():
    named = {path.stem.removeprefix("train_") for path in TRAINING}
    own_scripts = {"cycle_gan": "cyclegan"}
    for model in models.BUILT_IN:
        if model not in ("test", "template"):
            assert own_scripts.get(model, model) in named


@pytest.mark.parametrize("script", [*TRAINING, ROOT / "scripts/test_single.sh"], ids=lambda path: path.stem)
def test_added_flags_come_last_and_take_precedence(script, tmp_path):
    assert words_of(script, tmp_path, "--name", "my run")[-2:] == ["--name", "my run"]


@pytest.mark.parametrize("script", DOORS, ids=lambda path: path.stem)
def test_download_scripts_call_download_py(script, tmp_path):
    program, *words = words_of(script, tmp_path, "facades" if "model" not in script.stem else "sat2map", "--dry_run")
    assert Path(program).resolve() == ROOT / "datasets/download.py"
    options = download_options(words)
    assert options.of == script.stem.split("_")[1]
    assert options.weights == script.stem.endswith("_model")


@pytest.mark.parametrize(
    "script", [*ROOT.glob("scripts/*.sh"), *ROOT.glob("datasets/*.sh")], ids=lambda path: path.name
)
def test_every_script_is_bash(script):
    assert script.read_text().startswith("#!/usr/bin/env bash\n")
    assert subprocess.run(["bash", "-n", str(script)], timeout=20).returncode == 0


def test_a_wrong_name_gives_one_line(tmp_path):
    answer = subprocess.run(
        ["bash", str(ROOT / "datasets/download_cut_dataset.sh"), "grumpifycats"], cwd=tmp_path, text=True,
        env={"PATH": "/usr/bin:/bin", "PYTHON": sys.executable}, capture_output=True, timeout=60,
    )  # fmt: skip
    assert (answer.returncode, answer.stderr.count("\n")) == (2, 1)
    assert "grumpifycat" in answer.stderr
