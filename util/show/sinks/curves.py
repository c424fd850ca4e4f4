"""The loss curves of a dashboard: a limited number of points, spread over the whole run, so that redrawing is cheap."""

import json
import math
import os

import numpy as np

MOST = 1000  # a plot is some 600 pixels wide; visdom's server needs a tenth of a second per update at this length


class Curves:
    """Points (x, {name: value}) with increasing x. The names may differ from point to point."""

    def __init__(self) -> None:
        self.points: list[tuple[float, dict[str, float]]] = []
        self.names: list[str] = []

    def add(self, x: float, values: dict[str, float]) -> bool:
        """Add a point. Return True if the curves were only extended, False if they must be redrawn."""
        extended = True
        # A run that resumes from an earlier checkpoint replaces its later points.
        while self.points and self.points[-1][0] >= x:
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

    def read(self, path: str, size: int) -> None:
        """Add the points in the first `size` bytes of a loss_log.jsonl, skipping lines that cannot be parsed."""
        if not size or not os.path.exists(path):
            return
        with open(path, "rb") as file:
            for line in file.read(size).splitlines():
                try:
                    record = json.loads(line)
                    self.add(float(record["x"]), {name: float(value) for name, value in record["losses"].items()})
                except (ValueError, TypeError, KeyError, AttributeError):
                    continue  # a line that a crash truncated

    def table(self, start: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """The points from index `start` on as arrays x (N,) and y (N, names); missing and non-finite values are NaN."""
        x = np.array([x for x, _ in self.points[start:]])
        rows = [[values.get(name, math.nan) for name in self.names] for _, values in self.points[start:]]
        y = np.array(rows, dtype=np.float64).reshape(len(x), len(self.names))
        return x, np.where(np.isfinite(y), y, np.nan)

    def _thin(self, count):
        """Keep `count` points at roughly equal distances in x, including the first and the last."""
        x = np.array([x for x, _ in self.points])
        wanted = np.searchsorted(x, np.linspace(x[0], x[-1], count))
        self.points = [self.points[index] for index in np.unique(np.minimum(wanted, len(x) - 1))]
