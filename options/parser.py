"""The argument parser of the options: errors of one line, suggestions for misspelt flags, and help by topic."""

import argparse
import contextlib
import copy
import functools
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from util.errors import InputError, nearest
from util.flags import SETTINGS, SWITCH, Declaration, as_typed, declaration
from util.namespace import SHARED

HELP = ("-h", "--help")
HELP_ALL = "--help_all"

UNDECLARED = declaration()  # the declaration of flags without one: those of plug-ins and of scripts


class OptionParser(argparse.ArgumentParser):
    """An ArgumentParser with a fixed command line, which raises InputError instead of exiting.

    Setters of models and data sets, also of plug-ins, receive it: they may redefine built-in flags, and may call
    ``parser.parse_known_args()`` without arguments to read other flags.
    """

    def __init__(self, command_line: Iterable[str]) -> None:
        # conflict_handler: a plug-in's own definition of a flag replaces the built-in definition.
        super().__init__(add_help=False, allow_abbrev=False, formatter_class=_Formatter, conflict_handler="resolve")
        self.command_line = list(command_line)
        # A word such as -1000,3000 is a value and not a flag.
        self._negative_number_matcher = re.compile(r"-\.?\d[\d.,eE+-]*$")
        self.declarations: dict[str, Declaration] = {}
        self.redefined: dict[str, Any] = {}  # flag of ours that a user's file declares for itself -> our default
        self.of_other_program: dict[str, Any] = {}  # flag of test.py in train.py, and vice versa -> our default
        self.in_users_file = False  # whether the flags that are declared now are those of a user's file
        self.of_users: set[str] = set()  # flags of ours that a user's file has declared
        self.topics: list[str] = []  # in the order of the help
        self.own_topic = UNDECLARED.topic  # the topic of flags that are declared without a topic
        self.about_words = "put values with blanks in quotes"  # the mend for a word that is no flag and no value
        self.about_unknown: Callable = nearest  # (flag, known flags) -> hint after "no such flag here;", or ""

    def add_argument(self, *names: str, **settings: Any) -> argparse.Action:
        """argparse's add_argument with the settings of util.flags.declaration: scope, topic, common, restore, resume.

        A flag that is defined again without such settings keeps its earlier declaration, except a flag of ours to which
        a user's file gives a meaning of its own (see util/namespace.py).
        """
        declared = {key: settings.pop(key) for key in SETTINGS if key in settings}
        if self.in_users_file and settings.get("action") == "store_true":  # a --config file gives yes or no
            settings = {"default": False, **settings, **SWITCH}
            del settings["action"]
        before = {self._option_string_actions[name].dest for name in names if name in self._option_string_actions}
        defaults = {dest: self.get_default(dest) for dest in before}
        if not self.in_users_file and before & self.of_users:  # a built-in data set beside a user's model
            dest = min(before)
            self.redefined[dest] = settings.get("default")
            return self._option_string_actions[names[0]]
        action = super().add_argument(*names, **settings)
        if self.in_users_file:
            defaults = {**self.of_other_program, **defaults}
            self.redefined.update({dest: defaults[dest] for dest in {action.dest, *before} & defaults.keys() - SHARED})
            self.of_users |= {action.dest} - SHARED
        # An option that has no flag any more, because the user's flag of this name sets another option.
        self._defaults.update({dest: defaults[dest] for dest in before - self.names()})
        if declared or action.dest not in self.declarations or action.dest in self.redefined:
            self.declarations[action.dest] = declaration(**{"topic": self.own_topic, **declared})
        return action

    def add_argument_group(self, *names: Any, **settings: Any) -> Any:
        """A group whose flags are declared as those of the parser are; the help shows flags by topic, not by group."""
        group = super().add_argument_group(*names, **settings)
        group.add_argument = self.add_argument  # type: ignore[method-assign]
        return group

    def topic(self, title: str, **shared: Any) -> Callable[..., argparse.Action]:
        """add_argument for the flags of one topic; `shared` settings are defaults for each of its flags."""
        if title not in self.topics:
            self.topics.append(title)

        def flag(*names: str, **settings: Any) -> argparse.Action:
            return self.add_argument(*names, **{"topic": title, "common": False, **shared, **settings})

        return flag

    def begin_choice(self, title: str, before: str, in_users_file: bool = False) -> None:
        """From now on, flags that are declared without a topic get this topic, e.g. ``--model cut``."""
        self.in_users_file = in_users_file
        if title not in self.topics:
            self.topics.insert(self.topics.index(before), title)
        self.own_topic = title

    def declaration_of(self, name: str) -> Declaration:
        """The declaration of a flag; an option without one, which only set_defaults() knows, gets UNDECLARED."""
        return self.declarations.get(name, UNDECLARED)

    def names_with(self, condition: Callable[[Declaration], bool]) -> list[str]:
        """Names of the flags whose declaration fulfils the condition, in the order of the flags."""
        return [name for name in self._names() if condition(self.declaration_of(name))]

    def may_differ(self) -> set[str]:
        """Names of the flags that may differ between the processes of a run."""
        return set(self.names_with(lambda flag: not flag.shared))

    def parse_known_args(self, args=None, namespace=None):
        return super().parse_known_args(self.command_line if args is None else args, namespace)

    def parse_args(self, args=None, namespace=None):
        opt, unknown = self.parse_known_args(args, namespace)
        if unknown:
            raise InputError(self._about_unknown(unknown[0]))
        return opt

    @contextlib.contextmanager
    def tolerating(self) -> Iterator[None]:
        """While the block runs, flags of ours take any value or none: a user's file may be about to declare them."""
        actions = [action for action in self._actions if action.dest not in SHARED]
        before = [(action, action.type, action.nargs, action.choices) for action in actions]
        for action in actions:
            action.type, action.choices = functools.partial(_typed_or_text, action.type or str), None
            action.nargs = "?" if action.nargs is None else action.nargs
        try:
            yield
        finally:
            for action, kind, nargs, choices in before:
                action.type, action.nargs, action.choices = kind, nargs, choices

    def wants_help(self) -> bool:
        return any(word in (*HELP, HELP_ALL) for word in self.command_line)

    def parse_or_help(self) -> argparse.Namespace:
        """Parse the options of a script; with -h, print its help and exit."""
        if self.wants_help():
            self.print_help()
            sys.exit()
        return self.parse_args()

    def given(self) -> set[str]:
        """Names of the options on the command line, also of those that repeat the default; no redefined options."""
        bare = copy.deepcopy(self)
        bare._defaults.clear()
        for action in bare._actions:
            action.default = argparse.SUPPRESS
        return set(vars(bare.parse_known_args()[0])) - self.redefined.keys()

    def names(self) -> set[str]:
        return set(self._names())

    def _names(self) -> list[str]:
        return list(dict.fromkeys(action.dest for action in self._actions))

    def error(self, message):
        raise InputError(message.removeprefix("argument "))

    def by_topic(self, everything: bool = True) -> dict[str, list[argparse.Action]]:
        """{topic: flags} in the order of the help; only the common flags unless `everything`."""
        groups: dict[str, list[argparse.Action]] = {topic: [] for topic in self.topics}
        for action in self._actions:
            declared = self.declaration_of(action.dest)
            if everything or declared.common:
                groups.setdefault(declared.topic, []).append(action)
        return {topic: actions for topic, actions in groups.items() if actions}

    def format_help(self) -> str:
        """Flags by topic: the common flags, or with --help_all every flag."""
        everything = HELP_ALL in self.command_line
        formatter = self._get_formatter()
        formatter.add_usage("%(prog)s [flags]", [], [])
        formatter.add_text(self.description)
        for topic, actions in self.by_topic(everything).items():
            formatter.start_section(topic)
            formatter.add_arguments(actions)
            formatter.end_section()
        if self.topics and not everything:
            formatter.add_text(f"These are the common flags; {HELP_ALL} shows all flags.")
        formatter.add_text(self.epilog)
        return formatter.format_help()

    def _about_unknown(self, word: str) -> str:
        if not word.startswith("-"):
            return f"'{word}': this word belongs to no flag; {self.about_words}"
        flag = word.split("=")[0]
        lists_all = HELP_ALL if self.topics else "-h"
        return (
            f"{flag}: no such flag here;{self.about_unknown(flag, self._option_string_actions)} {lists_all} lists all"
        )


def _typed_or_text(kind, text):
    try:
        return kind(text)
    except (argparse.ArgumentTypeError, TypeError, ValueError):
        return text


class _Formatter(argparse.HelpFormatter):
    """Shows the default after each help text, as a user types it."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=32)

    def _get_help_string(self, action: argparse.Action) -> str | None:
        text = action.help or ""
        explained = "none given" in text or "(required)" in text or action.required
        if action.default is argparse.SUPPRESS or not action.option_strings or explained:
            return action.help
        return f"{text} (default: {(as_typed(action.default) or 'none').replace('%', '%%')})"
