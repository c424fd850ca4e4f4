"""InputError: a fault in a user's input, shown as one line with the flag or path and the correction."""

import contextlib
import os
import re
import signal
import sys
import threading
import warnings
from collections.abc import Collection


class InputError(ValueError):
    """A user's input can't be used. ``str(error)`` is one line: the flag or path, the fault and the correction."""

    def __str__(self):
        """Line breaks and terminal codes, which a file name or a flag may contain, are escaped (as \\n, \\x1b ...)."""
        return on_one_line(super().__str__())


def on_one_line(text):
    return re.sub(r"[\0-\x1f\x7f-\x9f\u2028\u2029]", lambda found: repr(found[0])[1:-1], text)


class Notice(UserWarning):
    """A message that does not stop the program, such as a part of a file that is not used. Programs print it as one
    line; a caller from Python gets a warning."""


@contextlib.contextmanager
def clear_errors():
    """Wraps a program: an InputError becomes one line on stderr and exit code 2; other errors keep their traceback.

    Ctrl-C ends the program with one line and exit code 130. Output is flushed after every line, so that it reaches a
    file or a pipe at once, and characters outside the terminal's encoding are escaped.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace", line_buffering=True)
    _print_notices()
    interrupts = _count_interrupts()
    try:
        yield
    except BaseException as error:
        if interrupts or isinstance(error, KeyboardInterrupt):  # a library may have replaced the KeyboardInterrupt
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
    """Install a handler of Ctrl-C; returns a list with an entry once Ctrl-C was pressed.

    The first Ctrl-C raises KeyboardInterrupt, the second exits at once.
    """
    interrupts: list[int] = []

    def on_interrupt(number, frame):
        if interrupts:
            os._exit(130)
        interrupts.append(number)
        raise KeyboardInterrupt

    usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # a background job of a shell ignores SIGINT
    if usual and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, on_interrupt)
    return interrupts


def nearest(word, words):
    """The hint `` did you mean 'unet_256'?`` with the entry of `words` closest to `word`; empty if none is close.

    Case, hyphens and underscores do not count.
    """
    import difflib

    plain = {_letters(each): each for each in words}
    close = difflib.get_close_matches(_letters(word), plain, n=1, cutoff=0.6)
    return f" did you mean {plain[close[0]]!r}?" if close else ""


def some_of(names, most=3, joint=", "):
    """The first names of a list, and the number of the others: ``a, b, c and 4 more``, or ``a; b; and 4 more``."""
    others = len(names) - most
    return joint.join(names[:most]) + (f"{joint.strip(', ')} and {others} more" if others > 0 else "")


def same_letters(word, words):
    """The entry of `words` that equals `word` except for case, hyphens and underscores, or None."""
    return next((each for each in words if _letters(each) == _letters(word)), None)


def _letters(word):
    return re.sub(r"[-_\s]", "", str(word)).lower()


def check_word(flag: str, value: str, allowed: Collection[str]) -> None:
    """Raise InputError if the value of a flag is not in `allowed`."""
    if value not in allowed:
        raise InputError(f"--{flag} {value}: choose {', '.join(allowed)};{nearest(value, allowed)}".rstrip(";"))
