"""Write docs/options.md from the parsers themselves, so that it can't say anything else than they do.

python scripts/make_options_doc.py
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import data
import models
from options.base_options import BaseOptions
from options.parser import OptionParser
from options.test_options import TestOptions
from options.train_options import TrainOptions
from util.errors import InputError
from util.files import write_text

PAGE = Path(__file__).resolve().parent.parent / "docs" / "options.md"

HEAD = """\
# Options

Written by `python scripts/make_options_doc.py` from the parsers; do not edit. `python train.py -h` prints the same,
and with `--model` and `--dataset_mode` beside it the flags of those too.

A value comes from, lowest to highest: the flag's default, the model's, the data set's, in a test the trained run's,
the command line. A flag whose default is `no` or `yes` is a switch: alone it means yes, `--flag no` switches it off.
"""


def flags_of(parser):
    """{name: action} of everything that can be typed."""
    return {action.dest: action for action in parser._actions if action.option_strings}


def parser_of(options, setter=None):
    parser = options([]).initialize(OptionParser([]))
    return setter(parser, options is TrainOptions) if setter else parser


def plain(value):
    """A default as it would be typed."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return " ".join(map(str, value))
    return "" if value is None else str(value)


def table(actions):
    lines = ["| flag | default | |", "|---|---|---|"]
    for action in actions:
        words = ", ".join(f"`{word}`" for word in action.option_strings)
        default = f"`{plain(action.default)}`" if plain(action.default) else ""
        meaning = (action.help or "").replace("%%", "%").replace("|", "\\|")
        lines.append(f"| {words} | {default} | {_escaped(meaning)} |")
    return "\n".join(lines)


def _escaped(text):
    """<name> is no HTML."""
    return text.replace("<", "&lt;").replace(">", "&gt;")


def added(options, setter):
    """({name: action} that a model or data set adds, {name: default} that it changes); nothing where it refuses."""
    before = {name: plain(action.default) for name, action in flags_of(parser_of(options)).items()}
    try:
        after = flags_of(parser_of(options, setter))
    except InputError:  # --model test does not train
        return {}, {}
    new = {name: action for name, action in after.items() if name not in before}
    changed = {name: plain(after[name].default) for name in before if plain(after[name].default) != before[name]}
    return new, changed


def section(setter):
    """What one model or data set adds and changes."""
    training, changed = added(TrainOptions, setter)
    testing, changed_in_test = added(TestOptions, setter)
    changed = sorted({**changed_in_test, **changed}.items())
    words = ", ".join(f"`--{name} {value}`" if value else f"`--{name}` none" for name, value in changed)
    parts = [f"Other defaults: {words}."] if changed else []
    for title, own in (
        ("", [action for name, action in training.items() if name in testing]),
        ("In training only:\n\n", [action for name, action in training.items() if name not in testing]),
        ("In a test only:\n\n", [action for name, action in testing.items() if name not in training]),
    ):
        if own:
            parts.append(title + table(own))
    return "\n\n".join(parts) or "No flags of its own."


def document():
    shared = flags_of(parser_of(BaseOptions))
    training, testing = (flags_of(parser_of(options)) for options in (TrainOptions, TestOptions))
    parts = [
        HEAD + "\n## Both programs\n\n" + table(training[name] for name in shared),
        "## train.py\n\n" + table(action for name, action in training.items() if name not in shared),
        "## test.py\n\n`--model` and `--num_threads` have other defaults here: `test` and `0`.\n\n"
        + table(action for name, action in testing.items() if name not in shared),
    ]
    parts += [f"## --model {name}\n\n{section(models.get_option_setter(name))}" for name in sorted(models.BUILT_IN)]
    parts += [f"## --dataset_mode {name}\n\n{section(data.get_option_setter(name))}" for name in sorted(data.BUILT_IN)]
    return "\n\n".join(parts) + "\n"


def main():
    write_text(PAGE, document())
    print(PAGE)


if __name__ == "__main__":
    main()
