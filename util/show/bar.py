"""Progress of long work: a bar on a terminal; in a file, a job's log or CI, a line of text from time to time."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any

from tqdm import tqdm

FIRST_LINE, LONGEST_PAUSE = 30.0, 600.0  # seconds before the first line, and most seconds between two lines

_open: list[Bar] = []


class Bar:
    """``update()`` counts the units that are done of `total` (None: unknown). Use it in a ``with`` block, or call
    ``close()``. The unit "B" is shown in kilobytes and megabytes.

    While a bar is on the terminal, lines that the program prints appear above it.
    """

    def __init__(self, total: float | None, unit: str, title: str = "", done: float = 0, silent: bool = False) -> None:
        self.total, self.unit, self.title, self.done = total, unit, title, done
        self._first, self._start = done, time.monotonic()
        self._pause = FIRST_LINE
        self._due = self._start + self._pause
        self._silent = silent
        self._stdout: Any = None
        self._bar = None
        if not silent and sys.stderr.isatty():
            scaled = unit == "B"
            settings = {"unit": unit if scaled else f" {unit}", "unit_scale": scaled, "smoothing": 0.05}
            settings |= {"dynamic_ncols": True, "leave": False}
            self._bar = tqdm(total=total, initial=done, desc=title or None, **settings)
            self._stdout, sys.stdout = sys.stdout, _Above(sys.stdout, self._bar)
            _open.append(self)

    @property
    def on_terminal(self) -> bool:
        return self._bar is not None

    def update(self, number: float = 1) -> None:
        """Count `number` more as done."""
        self.done += number
        if self._bar is not None:
            self._bar.update(number)
        elif not self._silent and time.monotonic() >= self._due:
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
            self._due = time.monotonic() + self._pause
            print(self.line(), flush=True)

    def describe(self, title: str, total: float | None = None) -> None:
        """Change the text before the bar, and the total if a better estimate is known."""
        self.total = self.total if total is None else total
        if self._bar is not None:
            self._bar.total = self.total
            self._bar.set_description(title)

    def note(self, text: str) -> None:
        """Show a text behind the bar."""
        if self._bar is not None:
            self._bar.set_postfix_str(text)

    def line(self) -> str:
        """A line of text with the units done, the rate and the time left."""
        scale, unit = (1e-6, "MB") if self.unit == "B" else (1, self.unit)
        share = f" of {self.total * scale:,.0f}" if self.total else ""
        percent = f" ({100 * self.done / self.total:.0f} %)" if self.total else ""
        rate = (self.done - self._first) / max(time.monotonic() - self._start, 1e-9)
        left = f", {duration((self.total - self.done) / rate)} left" if rate > 0 and self.total else ""
        done = f"{self.title or 'progress'}: {self.done * scale:,.0f}{share} {unit}{percent}"
        return f"{done}, {rate * scale:.3g} {unit}/s{left}"

    def over(self, items: Iterable) -> Iterator:
        """Yields the items, and counts each when the next one is requested."""
        with self:
            for item in items:
                yield item
                self.update()

    def close(self) -> None:
        if self._bar is not None:
            sys.stdout = self._stdout
            self._bar.close()
            self._bar = None
            _open.remove(self)

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()


@contextlib.contextmanager
def closing_bars() -> Iterator[None]:
    """Close all open bars at the end of the block, so that an error message is not printed into a bar."""
    try:
        yield
    finally:
        while _open:
            _open[-1].close()


def duration(seconds: float) -> str:
    """A duration in its two largest units: 45 s, 12 min, 3 h 20 min, 2 d 4 h."""
    minutes = round(seconds / 60)
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 24 else f"{hours // 24} d {hours % 24} h"


class _Above:
    """Replaces the standard output while a bar is on the terminal: whole lines are written above the bar."""

    def __init__(self, stream: Any, bar: tqdm) -> None:
        self._stream, self._bar, self._rest = stream, bar, ""

    def write(self, text: str) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        if lines:
            self._bar.clear()
            self._stream.write("".join(f"{line}\n" for line in lines))
            self._stream.flush()
            self._bar.refresh()
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
