"""The wheel: one package, built from the checkout, installed into an empty environment and used there."""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDERS = ("data", "datasets", "models", "options", "scripts", "util")
MODEL = """
from models.template_model import TemplateModel

class BesideModel(TemplateModel):
    '''A model of a user, in the working directory.'''
"""
SMALL = (
    "--netG resnet_4blocks --ngf 4 --load_size 16 --crop_size 16 --device cpu --num_threads 0 --display_id 0".split()
)


def run(*command, cwd, **environment):
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={**env, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    pytest.importorskip("setuptools", "70.1")
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in (*FOLDERS, "train.py", "test.py", "metamer.py", "pyproject.toml", "README.md", "LICENSE"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name, **({"ignore": _no_images} if (ROOT / name).is_dir() else {}))
    program = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
    run(sys.executable, "-c", program, out, cwd=source)
    return next(out.glob("metamer-*.whl"))


def _no_images(folder, names):
    """Downloaded data sets lie in folders below datasets/."""
    return [name for name in names if name == "__pycache__" or (folder.endswith("datasets") and "." not in name)]


def test_the_wheel_has_one_package_with_all_files(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name.split("/")[0].split("-")[0] for name in names} == {"metamer"}
    tracked = subprocess.run(["git", "ls-files", *FOLDERS], cwd=ROOT, capture_output=True, text=True).stdout.split()
    files = [file for file in tracked if file.endswith((".py", ".css", ".js", ".html", ".txt"))]
    assert len(files) > 150  # the tree of the checkout is known
    own = {f"metamer/{Path(file).name}" for file in files if file.startswith("scripts/wheel/")}
    rest = {f"metamer/program/{file}" for file in files if not file.startswith("scripts/wheel/")}
    assert own | rest | {"metamer/program/train.py", "metamer/program/test.py"} <= names


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The bin folder of an environment that has the wheel, and the packages of this environment behind it."""
    place = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", place, cwd=place)
    site = next(place.glob("lib*/python*/site-packages"))
    (site / "shared.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    pip = [sys.executable, "-m", "pip", "--python", place / "bin" / "python", "--disable-pip-version-check"]
    run(*pip, "install", "-q", "--no-deps", "--no-index", "--ignore-installed", wheel, cwd=place)
    assert not any((site / name).exists() for name in (*FOLDERS, "train.py", "test.py"))
    return place / "bin"


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="the folders of a virtual environment are those of POSIX")
def test_the_wheel_trains_tests_and_translates(installed, tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "beside_model.py").write_text(MODEL)
    for phase in ("train", "test"):
        (tmp_path / "pairs" / phase).mkdir(parents=True)
        for i in range(2):
            pixels = np.random.default_rng(i).integers(0, 256, (16, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pairs" / phase / f"{i}.png")
    words = ["--dataroot", "pairs", "--name", "run"]
    short = ["--n_epochs", "1", "--n_epochs_decay", "0"]
    printed = run(installed / "metamer", "train", *words, "--model", "beside", *SMALL, *short, cwd=tmp_path)
    assert "model [BesideModel] was created" in printed and "End of epoch 1 / 1" in printed
    assert "to test it: metamer test --dataroot pairs --name run\n" in printed
    assert "wrote 2 of 2 images" in run(installed / "metamer", "test", *words, "--device", "cpu", cwd=tmp_path)
    program = "from metamer import load; print(load('checkpoints/run', device='cpu')('pairs/test/0.png').size)"
    assert run(installed / "python", "-c", program, cwd=tmp_path) == "(32, 16)\n"
    program = "import metamer, models; print(models.__file__)"
    assert "metamer/program/models/__init__.py" in run(installed / "python", "-c", program, cwd=tmp_path)
    run(
        installed / "metamer",
        "translate",
        "checkpoints/run",
        "pairs/test",
        "--output",
        "made",
        "--device",
        "cpu",
        cwd=tmp_path,
    )
    assert sorted(path.name for path in (tmp_path / "made").iterdir()) == ["0.png", "1.png"]
    commands = run(installed / "metamer", "-h", cwd=tmp_path)
    assert all(f"\n  {name} " in commands for name in ("train", "test", "translate", "evaluate", "export", "download"))
    done = subprocess.run([installed / "metamer", "trian"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (2, "error: metamer trian: no such command; did you mean 'train'?\n")


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="the folders of a virtual environment are those of POSIX")
def test_only_a_process_that_imports_metamer_sees_its_packages(installed, tmp_path):
    (tmp_path / "util.py").write_text("mine = True\n")
    assert run(installed / "python", "-c", "import util; print(util.mine)", cwd=tmp_path) == "True\n"
    program = "import util\ntry:\n    import metamer\nexcept ImportError as error:\n    print(error)"
    assert "imported util from elsewhere" in run(installed / "python", "-c", program, cwd=tmp_path)
