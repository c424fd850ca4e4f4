"""The visdom dashboard of a run, served by a separate thread.

The training puts losses and images into a buffer of fixed size, so a server that is absent, crashes or hangs causes one
warning and nothing else. When the server is available again, everything is redrawn from the log of the run and the
buffer.
"""

import collections
import os
import sys
import threading
import time
from argparse import Namespace
from collections.abc import Mapping
from urllib.parse import quote

import numpy as np

from util.errors import InputError
from util.show.sinks import visdom_server
from util.show.sinks.drawing import Curves, Windows

START_UP = 60  # seconds that a server started by the run may take before it counts as absent
LONGEST_PAUSE = 60  # seconds between two attempts to reach an absent server
CLOSING_TIME = 2  # seconds that close() waits


class VisdomSink:
    """The side of the training: each method returns at once."""

    def __init__(self, opt: Namespace, base: int):
        try:
            self.address = visdom_server.parse_address(opt.display_server, opt.display_port)
        except ValueError as error:
            raise InputError(f"--display_server: {error}") from None
        self.opt, self.base = opt, base
        self.log = os.path.join(opt.checkpoints_dir, opt.name, "loss_log.jsonl")
        self.log_size = (
            os.path.getsize(self.log) if os.path.exists(self.log) else 0
        )  # later records also arrive by scalars()
        self.points: collections.deque[tuple[float, dict[str, float]]] = collections.deque(maxlen=10_000)
        self.visuals: dict[str, np.ndarray] | None = None  # only the latest images are sent
        self.news, self.closing = threading.Event(), threading.Event()
        self.thread: threading.Thread | None = None
        self.started_server = self._start_server()

    def scalars(self, step: int, values: Mapping[str, float], epoch: float) -> None:
        if values:
            self.points.append((float(epoch), {name: float(value) for name, value in values.items()}))
            self._wake()

    def metrics(self, step: int, values: Mapping[str, float], epoch: float) -> None:
        """Curves of metrics are on the page of the run, and not in visdom."""

    def images(self, step: int, visuals: Mapping[str, np.ndarray]) -> None:
        if visuals:
            self.visuals = dict(visuals)
            self._wake()

    def close(self) -> None:
        self.closing.set()
        self.news.set()
        if self.thread is not None:
            self.thread.join(CLOSING_TIME)

    def connect(self) -> Windows:
        """Connect to the windows of the run; raises if the address is not that of a visdom server."""
        from util.show.sinks.visdom_client import Client

        client = Client(self.address, self.opt.display_env)
        return Windows(client, self.opt.name, self.base, self.opt.display_ncols)

    def _wake(self):
        if self.thread is None:
            # Started after the data workers are forked: a fork while this thread runs could inherit a held lock.
            self.thread = threading.Thread(target=Sender(self).work, name="visdom", daemon=True)
            self.thread.start()
        self.news.set()

    def _start_server(self):
        page = f"visdom: {self.address.url}/env/{quote(self.opt.display_env)}"
        try:
            started = visdom_server.start_if_absent(self.address)
        except OSError as error:
            print(f"visdom: could not start a server: {error}", file=sys.stderr)
            return None
        if started is None:
            print(page)
            return None
        print(f"{page} (server started by this run; it keeps running: stop it with `kill {started.process.pid}`)")
        if visdom_server.page_is_blank():
            print("visdom: the page is blank without its browser files: python scripts/fetch_visdom_assets.py")
        return started


class Sender:
    """The side of the thread: everything that may wait or fail."""

    def __init__(self, sink: VisdomSink):
        self.sink = sink
        self.windows: Windows | None = None
        self.curves: Curves | None = None
        self.drawn = 0  # points of the curves that the server shows; 0: all must be drawn
        self.shown: dict[str, np.ndarray] | None = None  # the images that the server shows
        self.pause = 0.5
        self.warned = False
        self.began = time.monotonic()

    def work(self) -> None:
        sink, not_before = self.sink, 0.0
        while not sink.closing.is_set():
            sink.news.wait()
            sink.closing.wait(max(0.0, not_before - time.monotonic()))
            not_before = self.attempt()
        until = time.monotonic() + CLOSING_TIME
        while sink.news.is_set() and time.monotonic() < until:
            time.sleep(0.1)
            self.attempt()

    def attempt(self) -> float:
        """Send pending data. Return the earliest time of the next attempt."""
        start = time.monotonic()
        self.sink.news.clear()
        try:
            self.take_in()
            self.send()
        except OSError as error:
            self.windows, self.drawn, self.shown = None, 0, None
            self.sink.news.set()
            return time.monotonic() + self.after_failure(error)
        except Exception as error:  # an error other than of the connection; it must not stop the run
            self.warn(f"visdom: could not show what the run sent: {error!r}")
        self.pause = 0.5
        # Sending takes at most a tenth of the time, here and in the server, also with long curves.
        return time.monotonic() + min(10, 9 * (time.monotonic() - start))

    def take_in(self):
        if self.curves is None:
            self.curves = Curves()
            self.curves.read(self.sink.log, self.sink.log_size)
        while self.sink.points:
            if not self.curves.add(*self.sink.points.popleft()):
                self.drawn = 0

    def send(self):
        if self.windows is None:
            self.windows = self.sink.connect()
        count = len(self.curves.points)
        if self.drawn and self.drawn < count and not self.windows.extend_curves(self.curves, self.drawn):
            self.drawn, self.shown = 0, None
        if count and not self.drawn:
            self.windows.draw_curves(self.curves)
        self.drawn = count
        visuals = self.sink.visuals
        if visuals is not self.shown:
            self.shown = visuals  # set before drawing: images that cannot be drawn are not tried again
            self.windows.draw_pictures(visuals)

    def after_failure(self, error):
        """Warn once. Return the seconds to wait, which grow from attempt to attempt."""
        started, url = self.sink.started_server, self.sink.address.url
        if started is not None and not self.warned:
            # If it has ended, another run's server may have taken the port and will respond soon.
            patience = START_UP if started.process.poll() is None else START_UP / 6
            if time.monotonic() - self.began < patience:
                return 0.5
        more = f" (the output of the server started by the run is in {started.log})" if started else ""
        self.warn(
            f"visdom: no dashboard at {url}: {error}{more}. The run continues and retries silently; "
            f"--display_server and --display_port select another server, --display_id 0 turns visdom off."
        )
        self.pause = min(2 * self.pause, LONGEST_PAUSE)
        return self.pause

    def warn(self, line):
        if not self.warned:
            print(line, file=sys.stderr)
        self.warned = True
