"""The visdom dashboard of a run. A separate thread sends to the server.

The training puts losses and images into a buffer of fixed size, so a server that is absent, crashes or hangs causes
only one warning. When the server is available again, everything is redrawn from the logs of the run and the buffer.
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
from util.show.sinks.drawing import LOSS, Curves, Windows, read_plots

START_UP = 60  # seconds that a server started by the run may take before it counts as absent
LONGEST_PAUSE = 60  # seconds between two attempts to reach an absent server
CLOSING_TIME = 2  # seconds that close() waits
SMOOTHING = 0.9  # of the losses: the weight of the values before


class VisdomSink:
    """The part that the training calls: each method returns at once."""

    def __init__(self, opt: Namespace, base: int):
        try:
            self.address = visdom_server.parse_address(opt.display_server, opt.display_port)
        except ValueError as error:
            raise InputError(f"--display_server: {error}") from None
        self.opt, self.base = opt, base
        folder = os.path.join(opt.checkpoints_dir, opt.name)
        logs = (os.path.join(folder, name) for name in ("loss_log.jsonl", "metrics.jsonl"))
        # Their current sizes: later records also arrive through scalars(), status() and metrics().
        self.logs = {log: os.path.getsize(log) for log in logs if os.path.exists(log)}
        # (plot, x, {name: value})
        self.points: collections.deque[tuple[str, float, dict[str, float]]] = collections.deque(maxlen=10_000)
        self.visuals: dict[str, np.ndarray] | None = None  # only the latest images are sent
        self.fixed: dict[str, np.ndarray] | None = None  # the latest of the fixed samples
        self.env = opt.display_env or opt.name
        self.news, self.closing = threading.Event(), threading.Event()
        self.thread: threading.Thread | None = None
        self.started_server = self._start_server()

    def scalars(self, step: int, values: Mapping[str, float], epoch: float) -> None:
        self._plot(LOSS, values, epoch)

    def metrics(self, step: int, values: Mapping[str, float], epoch: float) -> None:
        for name, value in values.items():  # a plot for each metric, because their scales differ
            self._plot(name, {name: value}, epoch)

    def status(self, step: int, plots: Mapping[str, Mapping[str, float]], epoch: float) -> None:
        for plot, values in plots.items():
            self._plot(plot, values, epoch)

    def _plot(self, plot, values, epoch):
        if values:
            self.points.append((plot, float(epoch), {name: float(value) for name, value in values.items()}))
            self._wake()

    def samples(self, step: int, visuals: Mapping[str, np.ndarray]) -> None:
        if visuals:
            self.fixed = dict(visuals)
            self._wake()

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

        client = Client(self.address, self.env)
        return Windows(client, self.opt.name, self.base, self.opt.display_ncols)

    def _wake(self):
        if self.thread is None:
            # Started after the data workers are forked: a fork while this thread runs could inherit a held lock.
            self.thread = threading.Thread(target=Sender(self).work, name="visdom", daemon=True)
            self.thread.start()
        self.news.set()

    def _start_server(self):
        page = f"visdom: {self.address.url}/env/{quote(self.env)}"
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
    """The part that the thread runs: everything that may wait or fail."""

    def __init__(self, sink: VisdomSink):
        self.sink = sink
        self.windows: Windows | None = None
        self.curves: dict[str, Curves] | None = None  # by plot
        self.drawn: dict[str, int] = {}  # plot -> number of points that the server shows; no entry: redraw the plot
        self.shown: dict[str, np.ndarray] | None = None  # the images that the server shows
        self.shown_fixed: dict[str, np.ndarray] | None = None
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
            self.windows = None
            self.forget()
            self.sink.news.set()
            return time.monotonic() + self.after_failure(error)
        except Exception as error:  # not an error of the connection; it must not stop the run
            self.warn(f"visdom: losses or images could not be shown: {error!r}")
        self.pause = 0.5
        # Sending takes at most a tenth of the time, here and in the server, also with long curves.
        return time.monotonic() + min(10, 9 * (time.monotonic() - start))

    def forget(self):
        """Redraw everything in the next attempt."""
        self.drawn, self.shown, self.shown_fixed = {}, None, None

    def take_in(self):
        if self.curves is None:
            self.curves = {}
            for path, size in self.sink.logs.items():
                for point in read_plots(path, size):
                    self.add(*point)
        while self.sink.points:
            self.add(*self.sink.points.popleft())

    def add(self, plot, x, values):
        if plot not in self.curves:
            self.curves[plot] = Curves(SMOOTHING if plot == LOSS else 0.0)
        if not self.curves[plot].add(x, values):
            self.drawn.pop(plot, None)

    def send(self):
        if self.windows is None:
            self.windows = self.sink.connect()
        for plot, curves in self.curves.items():
            drawn, count = self.drawn.get(plot), len(curves.points)
            if drawn and drawn < count and not self.windows.extend_curves(curves, drawn, plot):
                self.forget()
                self.sink.news.set()  # the next attempt draws the earlier plots of this loop again
                drawn = None
            if count and not drawn:
                self.windows.draw_curves(curves, plot)
            self.drawn[plot] = count
        visuals, fixed = self.sink.visuals, self.sink.fixed
        if visuals is not self.shown:
            self.shown = visuals  # set before drawing: images that cannot be drawn are not tried again
            self.windows.draw_pictures(visuals)
        if fixed is not self.shown_fixed:
            self.shown_fixed = fixed
            self.windows.draw_samples(fixed)

    def after_failure(self, error):
        """Warn once. Return the seconds to wait, which grow from attempt to attempt."""
        started, url = self.sink.started_server, self.sink.address.url
        if started is not None and not self.warned:
            # If our server has ended, the server of another run may have taken the port and will respond soon.
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
