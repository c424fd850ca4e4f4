"""A stop that the processes of a run agree on, with a stand-in for the others. Two processes: see tests/distributed."""

import signal
from argparse import Namespace
from types import SimpleNamespace

import pytest

from util.processes import distributed
from util.run.running import REASONS, TIME_OVER, Stop, finish

TERM = REASONS.index("SIGTERM received")


@pytest.fixture
def others(monkeypatch):
    """Numbers of the other processes' reasons, one for each exchange."""
    numbers = []

    def start_maximum(own):
        other = numbers.pop(0)
        return lambda: [max(own[0], other)]

    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    monkeypatch.setattr(distributed, "start_maximum", start_maximum)
    return numbers


def test_a_signal_to_another_process_stops_this_one_a_step_later(others):
    others += [0, TERM]
    stop = Stop()
    assert [stop.requested() for _ in range(3)] == [False, False, True]
    assert (stop.reason, stop.exit_code) == ("SIGTERM received", 143)
    assert not others, "after the agreement nothing more is exchanged"


def test_a_signal_to_this_process_stops_it_in_the_step_of_the_others(others):
    others += [0, 0]
    stop = Stop()
    assert not stop.requested()
    stop.on_signal(signal.SIGTERM, None)
    assert not stop.requested()  # the others do not know yet
    assert stop.requested()
    assert (stop.reason, stop.exit_code) == ("SIGTERM received", 143)


def test_a_signal_in_the_last_step_is_agreed_on_at_the_end(others):
    others += [TERM]
    stop = Stop()
    assert not stop.requested()
    assert stop.settle()
    assert stop.exit_code == 143
    assert not stop.settle()


def test_a_run_that_ends_before_the_agreement_is_finished(others, capsys):
    others += [TERM, TERM, TERM]
    opt = Namespace(no_html=True, dataroot="photos", name="run", checkpoints_dir="./checkpoints")
    built = SimpleNamespace(visualizer=SimpleNamespace(close=lambda: None))
    stop = Stop()
    assert not stop.requested()
    finish(opt, built, stop)
    assert "to test it: " in capsys.readouterr().out
    assert stop.exit_code == 143
    stopped = Stop()
    assert not stopped.requested()
    assert stopped.requested()
    finish(opt, built, stopped)
    assert capsys.readouterr().out == ""  # the loop prints how to continue the run


def test_the_end_of_the_time_is_agreed_on_too(others):
    others += [0]
    stop = Stop(max_minutes=1e-9)
    assert not stop.requested()
    assert stop.requested()
    assert (stop.reason, stop.exit_code) == (TIME_OVER, 0)


def test_one_process_stops_at_once():
    stop = Stop()
    assert not stop.requested()
    stop.on_signal(signal.SIGUSR1, None)
    assert stop.requested()
    assert (stop.reason, stop.exit_code) == ("SIGUSR1 received", 0)
