"""The one exception that is meant for a person: a single line that names the flag or path, and the mend."""

import contextlib
import os
import re
import signal
import sys
import threading
import warnings
from collections.abc import Collection


class InputError(ValueError):
    """Something a user gave can't be used. ``str(error)`` is one line: what, where, how to mend it."""

    def __str__(self):
        """A file's or flag's own line breaks and terminal codes are shown as \\n and the like."""
        return on_one_line(super().__str__())


def on_one_line(text):
    return re.sub(r"[\0-\x1f\x7f-\x9f\u2028\u2029]", lambda found: repr(found[0])[1:-1], text)


class Notice(UserWarning):
    """Something that a user should hear of, such as part of a file that is not used. Programs print it as one line;
    a caller from Python gets a warning."""


@contextlib.contextmanager
def clear_errors():
    """Turn an InputError into its one line on stderr and exit code 2; everything else keeps its traceback.

    For the whole of a program: from here on it may print the name of a file that the terminal's encoding can't say,
    every line reaches a file or a pipe at once, and Ctrl-C ends the program with one line and exit code 130.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace", line_buffering=True)
    _print_notices()
    interrupts = _count_interrupts()
    try:
        yield
    except BaseException as error:
        if interrupts or isinstance(error, KeyboardInterrupt):  # libraries turn it into errors of other kinds
            print("stopped by Ctrl-C", file=sys.stderr)
            sys.exit(130)
        if isinstance(error, InputError):
            print(f"error: {error}", file=sys.stderr)
            sys.exit(2)
        raise


def _print_notices():
    usual = warnings.showwarning

    def show(message, category, *where, **more):
        if isinstance(message, Notice):
            from tqdm import tqdm  # its write() leaves a bar on the terminal whole

            tqdm.write(f"note: {on_one_line(str(message))}", file=sys.stderr)
        else:
            usual(message, category, *where, **more)

    warnings.showwarning = show


def _count_interrupts():
    """A list that gets an item with the first Ctrl-C, which raises KeyboardInterrupt; a second leaves at once."""
    interrupts: list[int] = []

    def on_interrupt(number, frame):
        if interrupts:
            os._exit(130)
        interrupts.append(number)
        raise KeyboardInterrupt

    usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # not where a shell ignores the signal
    if usual and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, on_interrupt)
    return interrupts


def nearest(word, words, say="did you mean {}?"):
    """A hint `` did you mean 'unet_256'?`` for the closest of `words`, or an empty string when none is close.

    Case, hyphens and underscores do not count.
    """
    import difflib

    plain = {_letters(each): each for each in words}
    close = difflib.get_close_matches(_letters(word), plain, n=1, cutoff=0.6)
    return " " + say.format(repr(plain[close[0]])) if close else ""


def same_letters(word, words):
    """That of `words` which differs from the word by case, hyphens and underscores only, or None."""
    return next((each for each in words if _letters(each) == _letters(word)), None)


def _letters(word):
    return re.sub(r"[-_\s]", "", str(word)).lower()


def check_word(flag: str, value: str, allowed: Collection[str]) -> None:
    """InputError if the value of a flag is not among the words that it offers."""
    if value not in allowed:
        raise InputError(f"--{flag} {value}: choose {', '.join(allowed)};{nearest(value, allowed)}".rstrip(";"))
