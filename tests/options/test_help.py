"""``-h`` and ``--help_all``: flags by topic, without importing torch."""

import contextlib
import io
import re
import subprocess
import sys
from pathlib import Path

import pytest

import data
import models
from options import flags
from options.parser import OptionParser
from options.test_options import TestOptions
from options.train_options import TrainOptions

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


def test_help_and_errors_do_not_import_torch(tmp_path):
    (tmp_path / "domain").mkdir()
    (tmp_path / "domain" / "1.png").touch()  # labelled_folders looks for domains while it is parsed
    (tmp_path / "run").mkdir()
    trained = '{"format": 1, "options": {"model": "stargan", "dataset_mode": "celeba"}}'
    (tmp_path / "run" / "train_opt.json").write_text(trained)  # a test reads the run's dataset mode
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


def help_of(options, *words):
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), pytest.raises(SystemExit) as exit:
        options(words).parse()
    assert exit.value.code == 0
    return printed.getvalue()


def shown(text):
    return set(re.findall(r"^  (?:-h, )?--(\w+)", text, re.MULTILINE))


def sections(text):
    return re.findall(r"^(\S.*):$", text, re.MULTILINE)


def parser_with(options, model):
    parser = options([]).initialize(OptionParser([]))
    return models.get_option_setter(model)(parser, options is TrainOptions)


def test_help_shows_the_common_flags_and_those_of_the_choice_by_topic():
    text = help_of(TrainOptions, "--model", "cut", "-h")
    assert sections(text) == [
        *(flags.RUN, flags.DATA, "--model cut", "--dataset_mode unaligned", flags.NETWORKS, "training schedule"),
        *("losses", flags.SAVING, "evaluation", flags.SHOWING, "machine"),
    ]
    assert {"dataroot", "name", "model", "netG", "lr", "batch_size", "CUT_mode", "nce_T", "finetune_crop"} <= shown(
        text
    )
    assert not {"beta2", "easy_label", "display_env", "channels_last"} & shown(text)
    assert text.rstrip().endswith("--help_all shows all flags.")
    assert len(shown(text)) < 60


@pytest.mark.parametrize(("options", "model"), [(TrainOptions, "stargan"), (TestOptions, "pix2pix")])
def test_help_all_shows_every_flag_with_its_default(options, model):
    text = help_of(options, "--model", model, "--dataset_mode", "aligned", "--help_all")
    parser = data.get_option_setter("aligned")(parser_with(options, model), options is TrainOptions)
    assert shown(text) == {*parser.names(), "help", "help_all"}
    assert sections(text)[-1] == flags.PLUG_INS
    entries = re.split(r"^  (?=-)", text, flags=re.MULTILINE)[1:]
    for entry in entries:
        if not entry.startswith(("-h", "--help_all", "--dataroot")):
            assert "default:" in entry or "none given" in " ".join(entry.split()), entry


def test_the_help_of_a_parser_without_topics_lists_all_flags():
    parser = OptionParser(["--help_all"])
    parser.add_argument("--size", type=int, default=3, help="in 100 % of cases".replace("%", "%%"))
    assert parser.wants_help()
    assert "--size SIZE" in parser.format_help()
    assert "in 100 % of cases (default: 3)" in parser.format_help()
    assert "common flags" not in parser.format_help()


def test_flags_of_a_plug_in_are_listed_under_its_model():
    text = help_of(TrainOptions, "--model", "template", "-h")
    assert text.index("--model template:") < text.index("--lambda_regression") < text.index(f"{flags.NETWORKS}:")


def test_flags_for_plug_ins_are_not_read_by_built_in_code():
    files = [ROOT / "train.py", ROOT / "test.py"]
    files += [path for folder in ("models", "data", "util", "options") for path in (ROOT / folder).rglob("*.py")]
    source = "\n".join(path.read_text(encoding="utf-8") for path in files)
    for options in (TrainOptions, TestOptions):
        parser = options([]).initialize(OptionParser([]))
        for name in parser.names():
            read = re.search(rf"\.{name}\b|\"{name}\"", source) is not None
            assert read == (parser.declaration_of(name).topic != flags.PLUG_INS), name
