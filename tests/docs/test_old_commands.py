"""docs/old_commands.md: both columns are parsed, the commands of the original programs and ours.

A command of ours must be accepted. A command of an original program must be accepted with the same values, or be
refused with a message that names what the page names; a flag of main.py, which does not exist here, must have a row in
the table of flags or the same name.
"""

import re
import shlex

import pytest
from pages import ROOT
from test_docs import check_command, known_flags

import data
import models
from options import checks, old_flags, saved
from options.test_options import TestOptions
from options.train_options import TrainOptions
from scripts import make_options_doc
from util.errors import InputError
from util.flags import as_typed

PAGE = ROOT / "docs/old_commands.md"
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL))
PROGRAMS = {name: text for name, text in SECTIONS.items() if "| there | here | difference |" in text}
DEFAULT_MODELS = {"contrastive-unpaired-translation (CUT, FastCUT)": "cut", "DCLGAN (DCLGAN, SimDCL)": "dclgan"}
ROWS = [
    (program, *row)
    for program, text in PROGRAMS.items()
    for row in re.findall(r"^\| (`.+?`) \| (.+?) \| (.*?)\|$", text, re.MULTILINE)
]
OWN = re.compile(r"`((?:python (?!-)[\w./]+\.py|bash|torchrun) [^`]+)`")


def commands(cell):
    return [shlex.split(command) for command in OWN.findall(cell)]


def program_of(words):
    """(train.py or test.py, the flags) behind python or torchrun; (None, []) for another program."""
    for number, word in enumerate(words):
        if word in ("train.py", "test.py"):
            return word, words[number + 1 :]
    return None, []


def parsed(words):
    """The options of a command line of train.py or test.py, as a dict."""
    program, flags = program_of(words)
    options = (TrainOptions if program == "train.py" else TestOptions)(flags)
    opt = options.gather_options()
    given = options.parser.given()
    options.finish(opt, given)
    checks.check(opt, given)
    return vars(opt)


NAMES = {"CUT": "cut", "FastCUT": "fastcut", "DCL": "dclgan", "SimDCL": "simdcl", "cyclegan": "cycle_gan",
         "pix2pix": "pix2pix", "celeba": "stargan"}  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with the runs whose names end with a model, and with the folders that commands read."""
    folder = tmp_path_factory.mktemp("runs")
    for path in ("checkpoints/other_run", "labels", "predicted", "datasets/horse2zebra/testB",
                 "results/h2z_CUT/test_latest/images/fake_B"):  # fmt: skip
        (folder / path).mkdir(parents=True)
    names = {name for _, there, here, _ in ROWS for name in re.findall(r"--name (\w+_([A-Za-z0-9]+))", there + here)}
    for name, kind in names:
        if kind in NAMES:
            model = "colorization" if name.startswith("color") else NAMES[kind]
            words = ["--model", model, "--name", name, "--dataroot", "d"]
            words += ["--direction", "BtoA"] * name.startswith("facades")
            options = TrainOptions([*words, "--checkpoints_dir", str(folder / "checkpoints")])
            opt = options.gather_options()
            options.finish(opt, options.parser.given())
            saved.write(opt, options.parser)
    return folder


@pytest.fixture(autouse=True)
def in_the_folder_of_runs(runs, monkeypatch):
    monkeypatch.chdir(runs)


def test_the_page_has_the_commands_of_four_programs():
    assert list(PROGRAMS) == [
        "pytorch-CycleGAN-and-pix2pix", *DEFAULT_MODELS, "StarGAN",
    ]  # fmt: skip
    assert len(ROWS) > 70
    lines = [line for text in PROGRAMS.values() for line in text.splitlines() if line.startswith("| `")]
    assert len(lines) == len(ROWS), "a row that the pattern does not read"


@pytest.mark.parametrize("row", ROWS, ids=[row[1][:90] for row in ROWS])
def test_commands_of_the_column_here_are_accepted(row):
    _, there, here, _ = row
    ours = commands(there if here == "the same" else here)
    assert here != "the same" or "--model" in there or "test.py" in there or not program_of(ours[0])[0], there
    assert ours or here.startswith("not "), here
    for words in ours:
        if program_of(words)[0]:
            parsed(words)
        else:
            check_command(words)


@pytest.mark.parametrize(
    "row", [row for row in ROWS if row[2] != "the same"], ids=[row[1][:90] for row in ROWS if row[2] != "the same"]
)
def test_commands_of_the_column_there_give_the_same_options_or_are_refused_with_the_new_flag(row):
    program, there, here, difference = row
    words = shlex.split(there.strip("`"))
    if words[1] == "main.py":  # Python reports that there is no such file; the flags are in the table or exist here
        known = {*known_flags(), *old_flags.BY_FLAG}
        assert [word for word in words if word.startswith("--") and word not in known] == []
    if program_of(words)[0] is None:
        return
    ours = parsed(commands(here)[0])
    try:
        theirs = parsed(words)
    except InputError as error:
        named = [word for word in re.findall(r"--\w+(?: \w+)?", str(error)) if word in here]
        assert named, f"{error}: names nothing of {here}"
        return
    assert difference, "both are accepted, and nothing is said about what differs"
    if "--model" not in words and program in DEFAULT_MODELS and program_of(words)[0] == "train.py":
        theirs = parsed([*words, "--model", DEFAULT_MODELS[program]])
    differ = {name for name, value in theirs.items() if name in ours and str(ours[name]) != str(value)}
    differ -= {"seed", "model", "CUT_mode", "isTrain"}
    typed = {word[2:] for word in [*words, *commands(here)[0]] if word.startswith("--")}
    assert differ <= typed, f"values differ that nobody typed: {differ - typed}"


@pytest.mark.parametrize("mode", ["CUT", "FastCUT"])
def test_CUT_mode_of_the_original_has_the_values_of_the_model(mode):
    """The commands that the page shows for --CUT_mode train with the same options."""
    shared = ["train.py", "--dataroot", "d", "--name", "x", "--seed", "1"]
    theirs = parsed([*shared, "--model", "cut", "--CUT_mode", mode])
    ours = parsed([*shared, "--model", mode.lower()])
    assert {**theirs, "model": None} == {**ours, "model": None}


def test_the_table_of_flags_matches_the_program():
    written = PAGE.read_text(encoding="utf-8")
    assert written == make_options_doc.old_commands(), "run python scripts/make_options_doc.py"
    assert old_flags.table() in written


def test_the_defaults_in_the_table_match_the_parsers():
    rows = re.findall(r"^\| `--(\w+)`(?: \(([\w, ]+)\))? \| .+? \| (.+?) \|$",
                      SECTIONS["Flags with another default"], re.MULTILINE)  # fmt: skip
    assert len(rows) > 15
    for flag, where, here in rows:
        if here == "`--crop_size`":
            continue  # tests/options/test_options.py
        for name in (where or "").split(", "):
            is_train = flag != "num_test"
            options = TrainOptions if is_train else TestOptions
            setter = models.get_option_setter(name) if name in models.BUILT_IN else None
            parser = make_options_doc.parser_of(options, setter)
            default = as_typed(parser.get_default(flag))
            assert here == f"`{default}`" or (not default and here.startswith("none")), (flag, name, default)


def test_every_data_set_of_the_page_exists():
    for mode in re.findall(r"--dataset_mode (\w+)", PAGE.read_text(encoding="utf-8")):
        assert mode in data.BUILT_IN
