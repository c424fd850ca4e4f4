"""Drawing for dashboards: loss curves of limited length, images in a grid, and the windows of a run on visdom."""

import html
import json
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from util.show.log import position_of, status_of

MOST = 1000  # points of a curve: a plot is about 600 pixels wide, and an update takes visdom's server 0.1 s
LARGEST = 512  # pixels; larger images are scaled down, so that they are fast to send and to display
GAP = 4
SMOOTHED = " smoothed"  # added to the name of a curve
COLOURS = ("#2f7bd6", "#d9660a", "#2a9d5c", "#c2407e", "#8a6fd1", "#a8861c", "#1aa0a8", "#c94f4f", "#7a8a99", "#5a9c20")
BAR = 30  # height in pixels of a window's title bar


class Curves:
    """Points (x, {name: value}) with increasing x, spread over the whole run. Names may differ from point to point."""

    def __init__(self, smoothing: float = 0.0) -> None:
        """`smoothing` > 0 adds a smoothed copy of each curve; it is the weight of the earlier values."""
        self.smoothing = smoothing
        self.points: list[tuple[float, dict[str, float]]] = []
        self.names: list[str] = []

    def add(self, x: float, values: dict[str, float]) -> bool:
        """Add a point. Return True if the curves were only extended, False if they must be redrawn."""
        extended = True
        # A run that resumes from an earlier checkpoint replaces its later points.
        while self.points and self.points[-1][0] >= x:
            self.points.pop()
            extended = False
        if self.smoothing:
            values = {**values, **self._smoothed(values)}
        for name in values:
            if name not in self.names:
                self.names.append(name)
                extended = False
        self.points.append((x, values))
        if len(self.points) > MOST:
            self._thin(MOST // 2)
            extended = False
        return extended

    def _smoothed(self, values):
        """Exponentially weighted means; the first value of a curve is its own mean."""
        before = self.points[-1][1] if self.points else {}
        made = {}
        for name, value in values.items():
            mean = before.get(name + SMOOTHED, value)
            usable = math.isfinite(value) and math.isfinite(mean)
            mean = self.smoothing * mean + (1 - self.smoothing) * value if usable else mean
            made[name + SMOOTHED] = mean if math.isfinite(mean) else value
        return made

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


def style_of(name: str, names: Sequence[str]) -> dict[str, Any]:
    """The plotly style of a curve: a raw curve is thin and pale, and has the colour of its smoothed copy."""
    plain = [html.escape(each) for each in names if not each.endswith(SMOOTHED)]
    raw = name.removesuffix(SMOOTHED)
    pale = name == raw and html.escape(raw + SMOOTHED) in [html.escape(each) for each in names]
    colour = COLOURS[plain.index(raw) % len(COLOURS)] if raw in plain else COLOURS[0]
    line = {"width": 1 if pale else 2, "color": colour}
    return {"connectgaps": True, "line": line, "opacity": 0.35 if pale else 1.0}


def as_rgb(picture: np.ndarray) -> np.ndarray:
    """Convert a uint8 image (H, W) or (H, W, C) to (H, W, 3), scaled down if a side exceeds LARGEST."""
    picture = np.asarray(picture)
    if picture.ndim == 2:
        picture = picture[:, :, None]
    picture = picture[:, :, :3] if picture.shape[2] >= 3 else np.repeat(picture[:, :, :1], 3, axis=2)
    longest = max(picture.shape[:2])
    if longest > LARGEST:
        height, width = (max(1, round(side * LARGEST / longest)) for side in picture.shape[:2])
        picture = np.asarray(
            Image.fromarray(np.ascontiguousarray(picture)).resize((width, height), Image.Resampling.BICUBIC)
        )
    return picture


def grid(pictures: Sequence[np.ndarray], columns: int) -> np.ndarray:
    """A white image (H, W, 3) with the images row by row, each centred in a cell of the size of the largest."""
    pictures = [as_rgb(picture) for picture in pictures]
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    high = max(picture.shape[0] for picture in pictures)
    wide = max(picture.shape[1] for picture in pictures)
    sheet = np.full((rows * (high + GAP) + GAP, columns * (wide + GAP) + GAP, 3), 255, np.uint8)
    for index, picture in enumerate(pictures):
        row, column = divmod(index, columns)
        top = GAP + row * (high + GAP) + (high - picture.shape[0]) // 2
        left = GAP + column * (wide + GAP) + (wide - picture.shape[1]) // 2
        sheet[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return sheet


def label_table(names: Sequence[str], columns: int) -> str:
    """An HTML table with the names of the cells of `grid`, in the same rows and columns."""
    columns = min(columns, len(names))
    style = f"border:1px solid #ccc;padding:4px;width:{100 / columns:.4g}%"
    cells = [f'<td style="{style}">{html.escape(name)}</td>' for name in names]
    cells += ["<td></td>"] * (-len(cells) % columns)
    rows = ["".join(cells[start : start + columns]) for start in range(0, len(cells), columns)]
    style = "width:100%;table-layout:fixed;border-collapse:collapse;text-align:center;overflow-wrap:anywhere"
    return f'<table style="{style}">' + "".join(f"<tr>{row}</tr>" for row in rows) + "</table>"


LOSS = "loss"  # the name of the plot of the losses


def read_plots(path: str, size: int | None = None) -> list[tuple[str, float, dict[str, float]]]:
    """[(plot, x, {name: value})] of the first `size` bytes of a loss_log.jsonl or a metrics.jsonl.

    Lines that do not parse are left out. A metric has a plot of its own, since the scales of metrics differ.
    """
    found: list[tuple[str, float, dict[str, float]]] = []
    if size == 0 or not os.path.exists(path):
        return found
    with open(path, "rb") as file:
        for line in file.read(-1 if size is None else size).splitlines():
            try:
                record = json.loads(line)
                x = position_of(record)
                if "metrics" in record:
                    plots = {name: {name: value} for name, value in record["metrics"].items()}
                else:
                    plots = {LOSS: record["losses"], **status_of(record)}
                found += [(plot, x, {name: float(value) for name, value in plots[plot].items()}) for plot in plots]
            except (ValueError, TypeError, KeyError, AttributeError):
                continue  # a line that a crash truncated
    return found


class Windows:
    """The visdom windows of a run.

    Window `base` shows the losses, base + 1 the images in a grid of `columns`, base + 2 their labels. The names of the
    windows of other plots and of the fixed samples begin with `base`. With `columns` <= 0 each image has a window, from
    base + 1 on.
    """

    def __init__(self, client: Any, name: str, base: int, columns: int):
        self.client, self.name, self.base, self.columns = client, name, base, columns

    def window(self, plot: str) -> str:
        return str(self.base) if plot == LOSS else f"{self.base}_{plot.replace(' ', '_')}"

    def draw_curves(self, curves: Curves, plot: str = LOSS) -> None:
        x, y = curves.table()
        names = [html.escape(name) for name in curves.names]  # plotly interprets markup in labels
        title = f"{self.name} {plot} over time"
        # The title is on the left because plotly's buttons cover the right half. A point may lack some losses, hence
        # connectgaps below.
        heading = {"text": html.escape(title), "x": 0.02, "xanchor": "left", "font": {"size": 15}}
        options = {
            "title": title,
            "layoutopts": {"plotly": {"title": heading}},
            "legend": names,
            "traceopts": {"plotly": {name: style_of(name, curves.names) for name in names}},
            "xlabel": "epoch",
            "ylabel": plot,
            "width": 640 if plot == LOSS else 420,
            "height": 420 if plot == LOSS else 280,
        }
        self.client.line(Y=y, X=x, win=self.window(plot), opts=options)

    def extend_curves(self, curves: Curves, start: int, plot: str = LOSS) -> bool:
        """Append the points from `start` on. Return False if the window no longer exists."""
        if not self.client.win_exists(self.window(plot)):
            return False
        x, y = curves.table(start)
        self.client.line(Y=y, X=x, win=self.window(plot), update="append")
        return True

    def draw_samples(self, visuals: Mapping[str, np.ndarray]) -> None:
        """The fixed samples in one window; their labels are in its title."""
        columns = max(1, len({label.rsplit(" ", 1)[0] for label in visuals}))
        labels = ", ".join(dict.fromkeys(label.rsplit(" ", 1)[0] for label in visuals))
        self._image(self.window("samples"), grid(list(visuals.values()), columns), f"{self.name} samples: {labels}")

    def draw_pictures(self, visuals: Mapping[str, np.ndarray]) -> None:
        if self.columns <= 0:
            for number, (label, picture) in enumerate(visuals.items(), start=1):
                self._image(self.base + number, as_rgb(picture), label)
            return
        sheet = grid(list(visuals.values()), self.columns)
        self._image(self.base + 1, sheet, f"{self.name} images")
        rows = -(-len(visuals) // self.columns)
        size = {"width": sheet.shape[1], "height": BAR + 30 * rows}
        table = label_table(list(visuals), self.columns)
        self.client.text(table, win=str(self.base + 2), opts={"title": f"{self.name} labels", **size})

    def _image(self, window, picture, title):
        size = {"width": picture.shape[1], "height": picture.shape[0] + BAR}
        self.client.image(picture.transpose(2, 0, 1), win=str(window), opts={"title": title, **size})
