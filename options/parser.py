"""The argument parser under the options: one-line errors, the nearest word, and no exit of its own."""

import argparse
import copy
import sys

from util.errors import InputError, nearest

HELP = ("-h", "--help")


class OptionParser(argparse.ArgumentParser):
    """An ArgumentParser that reads the command line it was given, whoever asks, and never exits by itself.

    Model and dataset setters of plug-ins receive it: they may redefine flags of ours, and may call
    ``parser.parse_known_args()`` without arguments to look at other flags.
    """

    def __init__(self, command_line):
        # conflict_handler: a plug-in's own definition of a flag replaces ours.
        style = {"formatter_class": _Formatter, "conflict_handler": "resolve"}
        super().__init__(add_help=False, allow_abbrev=False, **style)
        self.command_line = list(command_line)

    def parse_known_args(self, args=None, namespace=None):
        return super().parse_known_args(self.command_line if args is None else args, namespace)

    def parse_args(self, args=None, namespace=None):
        opt, unknown = self.parse_known_args(args, namespace)
        if unknown:
            raise InputError(self._about_unknown(unknown[0]))
        return opt

    def wants_help(self):
        return any(word in HELP for word in self.command_line)

    def parse_or_help(self):
        """The options of a tool; for -h its help instead, and the end of the program."""
        if self.wants_help():
            self.print_help()
            sys.exit()
        return self.parse_args()

    def given(self):
        """Names of the options that stand on the command line, whatever their value."""
        bare = copy.deepcopy(self)
        bare._defaults.clear()
        for action in bare._actions:
            action.default = argparse.SUPPRESS
        return set(vars(bare.parse_known_args()[0]))

    def names(self):
        return {action.dest for action in self._actions}

    def error(self, message):
        raise InputError(message.removeprefix("argument "))

    def _about_unknown(self, word):
        if not word.startswith("-"):
            return f"'{word}': what flag does it belong to? Values with blanks need quotes"
        flag = word.split("=")[0]
        return f"{flag}: no such flag here;{nearest(flag, self._option_string_actions)} -h lists all"


class _Formatter(argparse.ArgumentDefaultsHelpFormatter):
    def __init__(self, prog):
        super().__init__(prog, max_help_position=32)
