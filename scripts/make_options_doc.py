"""Generate docs/options.md, and the table of flags in docs/old_commands.md, from the parsers.

python scripts/make_options_doc.py
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import data
import models
from options import old_flags
from options.base_options import BaseOptions
from options.parser import OptionParser
from options.test_options import TestOptions
from options.train_options import TrainOptions
from util.errors import InputError
from util.files import write_text
from util.flags import SCOPES
from util.flags import as_typed as plain

PAGE = Path(__file__).resolve().parent.parent / "docs" / "options.md"
OLD_COMMANDS = PAGE.with_name("old_commands.md")
BEGIN, END = "<!-- flags: written by scripts/make_options_doc.py -->\n", "<!-- end of the flags -->"

HEAD = """\
# Options

Written by `python scripts/make_options_doc.py` from the parsers; do not edit. `python train.py -h` prints the common
flags, with those of `--model` and `--dataset_mode` beside it; `python train.py --help_all` prints all flags.

The value of a flag is taken from, in increasing precedence: the flag's default, the model's default, the dataset's
default, the trained run (in a test or a continued run), the command line. A flag with the default `no` or `yes` is a
switch: `--flag` alone means yes, `--flag no` switches it off.

Each flag has a scope:

| scope | a test takes the trained run's value | `--continue_train` takes it | all processes share it |
|---|---|---|---|
{scopes}

A flag of scope `network` that contradicts the trained run is an error. The column `scope` also lists exceptions of a
flag from its scope. Flags of your own models and datasets have the scope `training`, unless `add_argument` names
another: `parser.add_argument("--width", type=int, default=64, scope="network")`.
"""


def scopes():
    rows = ([name, *(plain(value) for value in scope)] for name, scope in SCOPES.items())
    return "\n".join(f"| `{name}` | {restored} | {resumed} | {shared} |" for name, restored, resumed, shared in rows)


def flags_of(parser):
    """{name: action} of the flags of a parser."""
    return {action.dest: action for action in parser._actions if action.option_strings}


def parser_of(options, setter=None):
    parser = options([]).initialize(OptionParser([]))
    return setter(parser, options is TrainOptions) if setter else parser


def scope_of(declared):
    """The scope of a flag, and the flag's exceptions from it."""
    usual = SCOPES[declared.scope]
    notes = []
    if declared.restored != usual.restored:
        notes.append("restored in a test" if declared.restored else "not restored in a test")
    if declared.resumed != usual.resumed:
        notes.append("taken by `--continue_train`" if declared.resumed else "not taken by `--continue_train`")
    return ", ".join([declared.scope, *notes])


def table(parser, actions):
    lines = ["| flag | default | | scope |", "|---|---|---|---|"]
    for action in actions:
        words = ", ".join(f"`{word}`" for word in action.option_strings)
        default = f"`{plain(action.default)}`" if plain(action.default) else ""
        meaning = (action.help or "").replace("%%", "%").replace("|", "\\|")
        scope = scope_of(parser.declaration_of(action.dest))
        lines.append(f"| {words} | {default} | {_escaped(meaning)} | {scope} |")
    return "\n".join(lines)


def tables(parser, names):
    """A table for each topic, of the flags with these names."""
    groups = ((topic, [action for action in actions if action.dest in names]) for topic, actions in
              parser.by_topic().items())  # fmt: skip
    return "\n\n".join(f"### {topic[0].upper()}{topic[1:]}\n\n{table(parser, own)}" for topic, own in groups if own)


def _escaped(text):
    """The text with angle brackets that Markdown does not read as HTML."""
    return text.replace("<", "&lt;").replace(">", "&gt;")


def added(options, setter):
    """({name: action} that a model or dataset adds, {name: default} that it changes); {} if it refuses `options`."""
    before = {name: plain(action.default) for name, action in flags_of(parser_of(options)).items()}
    try:
        after = flags_of(parser_of(options, setter))
    except InputError:  # --model test does not train
        return {}, {}
    new = {name: action for name, action in after.items() if name not in before}
    changed = {name: plain(after[name].default) for name in before if plain(after[name].default) != before[name]}
    return new, changed


def section(setter):
    """The section of a model or dataset: the flags that it adds and the defaults that it changes."""
    training, changed = added(TrainOptions, setter)
    testing, changed_in_test = added(TestOptions, setter)
    in_training = parser_of(TrainOptions, setter) if training else None
    in_test = parser_of(TestOptions, setter) if testing else None
    changed = sorted({**changed_in_test, **changed}.items())
    words = ", ".join(f"`--{name} {value}`" if value else f"`--{name}` none" for name, value in changed)
    parts = [f"Other defaults: {words}."] if changed else []
    for title, parser, own in (
        ("", in_test, [action for name, action in training.items() if name in testing]),
        ("In training only:\n\n", in_training, [action for name, action in training.items() if name not in testing]),
        ("In a test only:\n\n", in_test, [action for name, action in testing.items() if name not in training]),
    ):
        if own:
            parts.append(title + table(parser, own))
    return "\n\n".join(parts) or "No flags of its own."


def document():
    parsers = [parser_of(options) for options in (BaseOptions, TrainOptions, TestOptions)]
    shared, training, testing = (flags_of(parser) for parser in parsers)
    alone = [{name for name in own if name not in shared} for own in (training, testing)]
    parts = [
        HEAD.format(scopes=scopes()) + "\n## Both programs\n\n" + tables(parsers[1], shared),
        "## train.py\n\n" + tables(parsers[1], alone[0]),
        "## test.py\n\n`--model` and `--num_threads` have other defaults here: `test` and `0`.\n\n"
        + tables(parsers[2], alone[1]),
    ]
    parts += [f"## --model {name}\n\n{section(models.get_option_setter(name))}" for name in sorted(models.BUILT_IN)]
    parts += [f"## --dataset_mode {name}\n\n{section(data.get_option_setter(name))}" for name in sorted(data.BUILT_IN)]
    return "\n\n".join(parts) + "\n"


def old_commands():
    """docs/old_commands.md with the table of flags generated anew."""
    before, _, rest = OLD_COMMANDS.read_text(encoding="utf-8").partition(BEGIN)
    return before + BEGIN + old_flags.table() + "\n" + END + rest.partition(END)[2]


def main():
    for page, text in ((PAGE, document()), (OLD_COMMANDS, old_commands())):
        write_text(page, text)
        print(page)


if __name__ == "__main__":
    main()
