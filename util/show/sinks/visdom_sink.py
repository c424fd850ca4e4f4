"""The visdom dashboard of a run, sent from a thread of its own.

The training leaves its numbers and pictures in a mailbox that can't grow, so a server that is absent, dies or hangs
costs one warning line and nothing else. When it is back, everything is drawn anew, from the run's log and from what
came in meanwhile.
"""

import collections
import os
import sys
import threading
import time
from urllib.parse import quote

from util.errors import InputError
from util.show.sinks import visdom_server
from util.show.sinks.curves import Curves
from util.show.sinks.visdom_windows import Windows

START_UP = 60  # seconds that a server of our own starting may take before it counts as absent
LONGEST_PAUSE = 60  # seconds between two tries at an absent server
FAREWELL = 2  # seconds that close() waits


class VisdomSink:
    """The training's side: every method returns at once."""

    def __init__(self, opt, base):
        try:
            self.address = visdom_server.parse_address(opt.display_server, opt.display_port)
        except ValueError as error:
            raise InputError(f"--display_server: {error}") from None
        self.opt, self.base = opt, base
        self.log = os.path.join(opt.checkpoints_dir, opt.name, "loss_log.jsonl")
        self.log_size = os.path.getsize(self.log) if os.path.exists(self.log) else 0  # what comes later comes to us
        self.points = collections.deque(maxlen=10_000)
        self.visuals = None  # only the latest count
        self.news, self.closing = threading.Event(), threading.Event()
        self.thread = None
        self.beside = self._start_server()

    def scalars(self, step, values, epoch):
        if values:
            self.points.append((float(epoch), {name: float(value) for name, value in values.items()}))
            self._wake()

    def images(self, step, visuals):
        if visuals:
            self.visuals = dict(visuals)
            self._wake()

    def close(self):
        self.closing.set()
        self.news.set()
        if self.thread is not None:
            self.thread.join(FAREWELL)

    def connect(self):
        """The run's windows on the server; raises when it doesn't answer as visdom does."""
        from util.show.sinks.visdom_client import Client

        client = Client(self.address, self.opt.display_env)
        return Windows(client, self.opt.name, self.base, self.opt.display_ncols)

    def _wake(self):
        if self.thread is None:
            # Only now, when the data workers have been forked: a fork beside a busy thread can inherit a held lock.
            self.thread = threading.Thread(target=Sender(self).work, name="visdom", daemon=True)
            self.thread.start()
        self.news.set()

    def _start_server(self):
        page = f"visdom: {self.address.url}/env/{quote(self.opt.display_env)}"
        try:
            beside = visdom_server.start_if_absent(self.address)
        except OSError as error:
            print(f"visdom: could not start a server beside the run: {error}", file=sys.stderr)
            return None
        if beside is None:
            print(page)
            return None
        print(f"{page} (a server started beside this run; it stays on: stop it with `kill {beside.process.pid}`)")
        if visdom_server.page_is_blank():
            print("visdom: the page stays blank without its browser files: python scripts/fetch_visdom_assets.py")
        return beside


class Sender:
    """The thread's side: all that may wait or fail."""

    def __init__(self, sink):
        self.sink = sink
        self.windows = None
        self.curves = None
        self.drawn = 0  # how many points of the curves the server shows; 0: all are to be drawn
        self.shown = None  # the pictures that it shows
        self.pause = 0.5
        self.warned = False
        self.began = time.monotonic()

    def work(self):
        sink, not_before = self.sink, 0
        while not sink.closing.is_set():
            sink.news.wait()
            sink.closing.wait(max(0, not_before - time.monotonic()))
            not_before = self.attempt()
        until = time.monotonic() + FAREWELL
        while sink.news.is_set() and time.monotonic() < until:
            time.sleep(0.1)
            self.attempt()

    def attempt(self):
        """Send what there is. Returns the moment before which not to send again."""
        start = time.monotonic()
        self.sink.news.clear()
        try:
            self.take_in()
            self.send()
        except OSError as error:
            self.windows, self.drawn, self.shown = None, 0, None
            self.sink.news.set()
            return time.monotonic() + self.after_failure(error)
        except Exception as error:  # not the server's fault; whatever it is, the run must not suffer from it
            self.warn(f"visdom: could not show what the run sent: {error!r}")
        self.pause = 0.5
        # At most a tenth of the time goes into sending, here and in the server, however long the curves are.
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
            self.shown = visuals  # even if they can't be drawn: then they never can
            self.windows.draw_pictures(visuals)

    def after_failure(self, error):
        """Say it once. Returns the seconds to wait, more from try to try."""
        beside, url = self.sink.beside, self.sink.address.url
        if beside is not None and not self.warned:
            # One that has ended may have lost a race for the port to another run's: then that one is about to answer.
            patience = START_UP if beside.process.poll() is None else START_UP / 6
            if time.monotonic() - self.began < patience:
                return 0.5
        more = f" (what the server started beside the run says is in {beside.log})" if beside else ""
        self.warn(
            f"visdom: no dashboard at {url}: {error}{more}. The run goes on, and tries again quietly; "
            f"--display_server and --display_port choose another, --display_id 0 none."
        )
        self.pause = min(2 * self.pause, LONGEST_PAUSE)
        return self.pause

    def warn(self, line):
        if not self.warned:
            print(line, file=sys.stderr)
        self.warned = True
