"""A request to stop: a signal or a clock sets it, the loop asks for it once a step and saves before it leaves."""

import contextlib
import os
import signal
import time

from util.processes import distributed
from util.processes.distributed import EXIT_CODES

TIME_OVER = "--max_time is over"


class Stop:
    """``requested()`` once a step; ``reason`` and ``exit_code`` say what it was.

    A run in many processes stops where the first of them heard of it, all in the same step.
    """

    def __init__(self, max_minutes=None):
        self.deadline = time.monotonic() + 60 * max_minutes if max_minutes else None
        self.reason = None
        self.exit_code = 0
        self._interrupted = False

    def requested(self):
        """Collective."""
        if self.reason is None and self.deadline is not None and time.monotonic() >= self.deadline:
            self.reason = TIME_OVER
        heard = distributed.maximum(REASONS.index(self.reason))
        if heard and self.reason is None:
            self._leave_for(REASONS[heard])
        return heard > 0

    def on_signal(self, number, frame):
        name = signal.Signals(number).name
        # The second Ctrl-C: at once, as if nobody had listened. A launcher passes on the one that all have got already.
        if name == "SIGINT" and self._interrupted and not distributed.launched():
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGINT)
        self._interrupted = self._interrupted or name == "SIGINT"
        if self.reason is None:  # what came first is what the run leaves for
            self._leave_for(f"{name} received")

    def _leave_for(self, reason):
        self.reason, self.exit_code = reason, EXIT_CODES.get(reason.split()[0], 0)


REASONS = [None, TIME_OVER, *(f"{name} received" for name in EXIT_CODES)]


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
