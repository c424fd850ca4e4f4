"""The loss curves as a dashboard shows them: few enough points to redraw at any time, spread over the whole run."""

import json
import math
import os

import numpy as np

MOST = 1000  # a plot is some 600 pixels wide; visdom's server needs a tenth of a second per update at this length


class Curves:
    """Points (x, {name: value}) with rising x. The names may differ from point to point, and grow during a run."""

    def __init__(self):
        self.points = []
        self.names = []

    def add(self, x, values):
        """Take one more point. True when the curves were only extended, False when those drawn before are stale."""
        extended = True
        while self.points and self.points[-1][0] >= x:  # the run went back to a checkpoint: its newest account counts
            self.points.pop()
            extended = False
        for name in values:
            if name not in self.names:
                self.names.append(name)
                extended = False
        self.points.append((x, values))
        if len(self.points) > MOST:
            self._thin(MOST // 2)
            extended = False
        return extended

    def read(self, path, size):
        """Take the points in the first `size` bytes of a loss_log.jsonl; a line that can't be read is passed over."""
        if not size or not os.path.exists(path):
            return
        with open(path, "rb") as file:
            for line in file.read(size).splitlines():
                try:
                    record = json.loads(line)
                    self.add(float(record["x"]), {name: float(value) for name, value in record["losses"].items()})
                except (ValueError, TypeError, KeyError, AttributeError):
                    continue  # the end of a line that a crash cut off

    def table(self, start=0):
        """The points from `start` on as arrays x (N,) and y (N, names); what is missing or not finite is NaN."""
        x = np.array([x for x, _ in self.points[start:]])
        rows = [[values.get(name, math.nan) for name in self.names] for _, values in self.points[start:]]
        y = np.array(rows, dtype=np.float64).reshape(len(x), len(self.names))
        return x, np.where(np.isfinite(y), y, np.nan)

    def _thin(self, count):
        """Keep `count` points at about even distances in x, the first and the last among them."""
        x = np.array([x for x, _ in self.points])
        wanted = np.searchsorted(x, np.linspace(x[0], x[-1], count))
        self.points = [self.points[index] for index in np.unique(np.minimum(wanted, len(x) - 1))]
