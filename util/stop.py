"""A request to stop: a signal or a clock sets it, the loop asks for it once a step and saves before it leaves."""

import contextlib
import os
import signal
import time

# What a job system may send, and the exit status that tells it what happened.
EXIT_CODES = {"SIGTERM": 143, "SIGINT": 130, "SIGUSR1": 0}


class Stop:
    """``requested()`` once a step; ``reason`` and ``exit_code`` say what it was."""

    def __init__(self, max_minutes=None):
        self.deadline = time.monotonic() + 60 * max_minutes if max_minutes else None
        self.reason = None
        self.exit_code = 0
        self._interrupted = False

    def requested(self):
        if self.reason is None and self.deadline is not None and time.monotonic() >= self.deadline:
            self.reason = "--max_time is over"
        return self.reason is not None

    def on_signal(self, number, frame):
        name = signal.Signals(number).name
        if name == "SIGINT" and self._interrupted:  # the second Ctrl-C: at once, as if nobody had listened
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGINT)
        self._interrupted = self._interrupted or name == "SIGINT"
        if self.reason is None:  # what came first is what the run leaves for
            self.reason, self.exit_code = f"{name} received", EXIT_CODES[name]


@contextlib.contextmanager
def listening(max_minutes=None):
    """A Stop that hears the signals while the block runs; their old handlers come back after it."""
    stop = Stop(max_minutes)
    numbers = [getattr(signal, name) for name in EXIT_CODES if hasattr(signal, name)]
    before = {number: signal.signal(number, stop.on_signal) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
