"""README and docs: links resolve, commands are valid and run, the options page equals the output of the parsers."""

import importlib
import re
import shlex

import pytest
from pages import PAGES, ROOT, anchors, commands, inline_code, links
from torch.distributed.run import get_args_parser as torchrun_parser

import data
import models
import test as test_program
import train as train_program
from options import checks, old_flags
from options.base_options import BaseOptions
from options.parser import OptionParser
from options.test_options import TestOptions
from options.train_options import TrainOptions
from scripts import make_options_doc

TINY = (
    "--ngf 4 --ndf 4 --netG resnet_4blocks --load_size 36 --crop_size 32 --max_dataset_size 2 --num_threads 0 "
    "--device cpu --display_id 0 --save_epoch_freq 1"
).split()
SCHEDULE = "--n_epochs 1 --n_epochs_decay 1".split()
OF_OTHERS = ("source", "cd", "torchrun")  # commands of the shell and of other programs
OWN_TESTS = ("scripts/setup.sh", "scripts/test.sh", "scripts/demo.sh")  # not run here: they install, and take minutes

# Flags of other programs and of their tools that are not included, and a placeholder.
NOT_OURS = {*old_flags.BY_FLAG, "--cityscapes_dir", "--images_dir", "--hed_mat_dir", "--input_dir", "--flag"}


def page_id(page):
    return page.name


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_links_have_existing_targets(page):
    for link in (each for pair in links(page) for each in pair if each):
        if re.match(r"(https?|mailto):", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link}: no such file"
        assert target.is_relative_to(ROOT), f"{link}: leaves the repository"
        if anchor:
            assert anchor in anchors(target), f"{link}: no such heading, there are {anchors(target)}"


def module_of(program):
    path = program.removeprefix("./").removesuffix(".py").replace("/", ".")
    return importlib.import_module(path)


def script_words(script, words):
    """The arguments that a shell script of the project passes to Python, with the added words."""
    text = (ROOT / script).read_text(encoding="utf-8").replace("\\\n", " ")
    line = next(line for line in text.splitlines() if line.startswith("exec"))
    _, _, program, *own = shlex.split(line.replace("$root/", ""))
    return program, [*own[:-1], *words]


def check_command(words):
    """Raises if a command line is not one of the project, or has a flag or value that the program refuses."""
    tool, program, *rest = words
    program = program.removeprefix("./")
    assert (ROOT / program).is_file(), f"{program}: no such file"
    if tool == "bash":
        if program in OWN_TESTS:
            return
        program, rest = script_words(program, rest)
    if program in ("train.py", "test.py"):
        options = (TrainOptions if program == "train.py" else TestOptions)(rest)
        opt = options.gather_options()
        options.finish(opt, options.parser.given())
        checks.check(opt, options.parser.given())
        assert opt.dataroot
    elif hasattr(module_of(program), "read_options"):
        module_of(program).read_options(rest)
    else:
        source = (ROOT / program).read_text(encoding="utf-8")
        assert all(f'"{word}"' in source for word in rest if word.startswith("--"))


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_every_command_exists_with_its_flags(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a folder without runs and data
    for command in commands(page):
        if command.words[0] not in OF_OTHERS and not needs_its_run(command):
            assert command.words[0] in ("python", "bash"), command
            check_command(command.words)


def needs_its_run(command):
    """A command with --continue_train reads its model from the run, so it is not parsed here, but run below."""
    return "--continue_train" in command.words and command.needs is None


@pytest.mark.parametrize("page", [page for page in PAGES if page.parent.name == "docs"], ids=page_id)
def test_commands_run_in_their_order(page, tmp_path, monkeypatch, capsys):
    """Run the commands of each page in an empty folder, except those marked as needing a download or a GPU."""
    monkeypatch.chdir(tmp_path)
    for command in commands(page):
        tool, program, *words = command.words
        if command.needs or tool in OF_OTHERS or program in OWN_TESTS:
            continue
        assert tool == "python", f"{command}: not run here; mark it"
        if program == "train.py":
            again = "--continue_train" in words
            sizes = ["--device", "cpu"] if again else [*TINY, *SCHEDULE]
            train_program.main([*words, *sizes] if not again else [*words, *sizes, "--n_epochs_decay", "2"])
        elif program == "test.py":
            test_program.main([*words, "--device", "cpu", "--epoch", "latest"])
        elif program == "datasets/make_shapes.py":
            module_of(program).main([*words, "--size", "40", "--train", "6", "--test", "3"])
        else:
            module_of(program).main(words)


def known_flags():
    """Every flag of both programs, with every model and data set, and of every tool; and those of torchrun."""
    known = {"-h", "--help_all", *NOT_OURS, *torchrun_parser()._option_string_actions}
    for options in (BaseOptions, TrainOptions, TestOptions):
        known |= set(make_options_doc.parser_of(options)._option_string_actions)
    for setters in ([models.get_option_setter(name) for name in models.BUILT_IN],
                    [data.get_option_setter(name) for name in data.BUILT_IN]):  # fmt: skip
        for setter in setters:
            for options in (TrainOptions, TestOptions):
                known |= {word for action in make_options_doc.added(options, setter)[0].values()
                          for word in action.option_strings}  # fmt: skip
    tools = [*ROOT.glob("datasets/*.py"), *ROOT.glob("scripts/*.py"), ROOT / "scripts/test.sh"]
    for tool in tools:
        known |= set(re.findall(r'"(--[\w-]+)"|(--slow)', tool.read_text(encoding="utf-8")))
    return {word for each in known for word in ([each] if isinstance(each, str) else each)}


def test_flags_named_in_the_text_exist():
    known = known_flags()
    for page in PAGES:
        for code in inline_code(page):
            for flag in re.findall(r"(?<![\w-])--[A-Za-z][\w-]*", code):
                assert flag in known, f"{page.name}: `{code}`"


def test_files_named_in_the_text_exist():
    for page in PAGES:
        for code in inline_code(page):
            if re.fullmatch(r"(models|data|options|util|scripts|docs|tests|datasets)/[\w/]+\.(py|sh|md|txt)", code):
                assert (ROOT / code).is_file() or "mine" in code, f"{page.name}: `{code}`"


def test_the_options_page_matches_the_parsers():
    written = make_options_doc.PAGE.read_text(encoding="utf-8")
    assert written == make_options_doc.document(), "run python scripts/make_options_doc.py"


def test_the_papers_of_the_models_are_cited_and_there_is_a_licence():
    cited = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    for name in models.BUILT_IN:
        assert name in ("test", "template") or re.search(rf"# --model [\w, ]*\b{name}\b", cited), name
    assert cited.startswith("cff-version: 1.2.0\n")
    assert "BSD 2-Clause License" in (ROOT / "LICENSE").read_text(encoding="utf-8")


def test_two_parsers_without_a_command_line_are_equal():
    assert make_options_doc.document() == make_options_doc.document()
    assert OptionParser([]).names() == set()
