"""Progress: lines in a log file, a bar on a terminal, and lines printed above it."""

import io
import sys

import pytest

from util.show import bar as bars
from util.show.bar import Bar, closing_bars, duration


class Clock:
    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(bars, "time", clock)
    return clock


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_log_file_gets_a_line_within_a_minute_and_fewer_later(clock, capsys):
    times = []
    with Bar(100_000, "images") as bar:
        for second in range(3600):
            clock.now += 1
            bar.update(2)
            if printed := capsys.readouterr().out:
                times.append(second + 1)
                last = printed
    assert times == [30, 90, 210, 450, 930, 1530, 2130, 2730, 3330]
    assert last == "progress: 6,660 of 100,000 images (7 %), 2 images/s, 12 h 58 min left\n"


def test_the_rate_of_a_resumed_run_counts_from_its_start(clock):
    bar = Bar(1000, "images", done=900)
    clock.now += 10
    bar.update(10)
    assert bar.line() == "progress: 910 of 1,000 images (91 %), 1 images/s, 90 s left"


def test_other_ranks_print_nothing(clock, capsys):
    bar = Bar(10, "images", silent=True)
    clock.now += 1000
    bar.update(5)
    assert capsys.readouterr() == ("", "")


def test_lines_are_printed_whole_above_the_bar_of_a_terminal(monkeypatch):
    screen, out = Terminal(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(sys, "stdout", out)
    with closing_bars():
        bar = Bar(10, "images")
        bar.describe("epoch 1/2", 20)
        bar.note("G 0.70")
        bar.update(5)
        print("half a line", end="")
        assert out.getvalue() == ""
        print(", and the rest")
        assert out.getvalue() == "half a line, and the rest\n"
        assert "epoch 1/2:  25%" in screen.getvalue() and "5/20" in screen.getvalue()
        assert "G 0.70" in screen.getvalue()
    assert sys.stdout is out  # closed by the guard, although nothing closed the bar itself


def test_the_items_of_a_tool_are_counted(clock):
    bar = Bar(3, "files")
    assert list(bar.over("abc")) == ["a", "b", "c"]
    assert bar.done == 3


def test_bytes_are_counted_in_megabytes_and_a_title_tells_the_tasks_of_a_log_apart(clock):
    bar = Bar(40_000_000, "B", "horses.zip", done=10_000_000)
    clock.now += 10
    bar.update(10_000_000)
    assert bar.line() == "horses.zip: 20 of 40 MB (50 %), 1 MB/s, 20 s left"


def test_without_a_total_the_done_items_are_counted(clock, monkeypatch):
    bar = Bar(None, "files", "unpacking")
    clock.now += 10
    bar.update(20)
    assert bar.line() == "unpacking: 20 files, 2 files/s"
    monkeypatch.setattr(sys, "stderr", Terminal())
    with Bar(None, "files") as bar:
        bar.update(3)
        bar.note("still going")
        assert "3 files" in sys.stderr.getvalue()


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(45, "45 s"), (200, "3 min"), (12_000, "3 h 20 min"), (187_000, "2 d 3 h"), (3590, "1 h 0 min")],
)
def test_durations_are_printed_in_readable_units(seconds, words):
    assert duration(seconds) == words
