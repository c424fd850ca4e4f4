"""``-h`` and refusals are there at once: they don't wait for torch."""

import subprocess
import sys
from pathlib import Path

import data
import models

ROOT = Path(__file__).resolve().parents[2]

# Prints a line for each command: what became of it. The templates are to be copied, and keep their flags in the page.
PROGRAM = """
import contextlib, io, sys
import data, models
from options.test_options import TestOptions
from options.train_options import TrainOptions
from util.errors import InputError

def try_out(options, *words):
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            options(words).parse()
    except SystemExit:
        print(options.__name__, *words, "helped" * ("--dataroot" in printed.getvalue()))
    except InputError as error:
        print(options.__name__, *words, "->", error)
    slow = {"torch", "torchvision", "numpy", "PIL"} & set(sys.modules)
    assert not slow, (words, slow)

folder = sys.argv[1]
for options in (TrainOptions, TestOptions):
    for name in models.BUILT_IN:
        if name != "template":
            try_out(options, "--model", name, "-h")
    for name in data.BUILT_IN:
        if name != "template":
            try_out(options, "--dataset_mode", name, "--dataroot", folder, "-h")
            try_out(options, "--dataset_mode", name, "--dataroot", folder, "--no_such_flag")
    try_out(options, "--model", "cycle_gna")
    try_out(options, "--dataset_mode", "unalinged")
    try_out(options, "--dataroot", folder, "--netG", "unet_265", "--model", "cycle_gan")
try_out(TestOptions, "--dataroot", folder, "--checkpoints_dir", folder, "--name", "run", "--no_such_flag")
"""


def test_help_and_refusals_come_without_torch(tmp_path):
    (tmp_path / "domain").mkdir()
    (tmp_path / "domain" / "1.png").touch()  # labelled_folders looks for domains while it is parsed
    (tmp_path / "run").mkdir()
    trained = '{"format": 1, "options": {"model": "stargan", "dataset_mode": "celeba"}}'
    (tmp_path / "run" / "train_opt.json").write_text(trained)  # a test asks the run's data set for what it reads
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "TrainOptions --model simdcl -h helped" in lines
    assert "TestOptions --model test -h helped" in lines
    names, modes = len(models.BUILT_IN) - 1, len(data.BUILT_IN) - 1  # all but the templates
    assert sum(line.endswith("helped") for line in lines) == 2 * (names + modes) - 1  # --model test refuses to train
    assert sum("-> --no_such_flag: no such flag here" in line for line in lines) == 2 * modes + 1
    assert sum("did you mean" in line for line in lines if "-> --model" in line or "-> --dataset_mode" in line) == 4
    assert sum("-> --netG unet_265: choose" in line for line in lines) == 2
