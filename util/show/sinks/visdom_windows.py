"""The windows of a run on a visdom server: curves, images and labels, each in a window with a fixed number."""

import html
from collections.abc import Mapping
from typing import Any

import numpy as np

from util.show.sinks.curves import Curves
from util.show.sinks.pictures import as_rgb, grid, label_table

BAR = 30  # pixels that a window's own title bar takes of its height


class Windows:
    """Window `base` shows the curves, base + 1 the images, base + 2 their labels. With `columns` <= 0 there is no grid,
    and each image has a window, starting at base + 1."""

    def __init__(self, client: Any, name: str, base: int, columns: int):
        self.client, self.name, self.base, self.columns = client, name, base, columns

    def draw_curves(self, curves: Curves) -> None:
        x, y = curves.table()
        names = [html.escape(name) for name in curves.names]  # plotly interprets markup in labels
        title = f"{self.name} loss over time"
        # The title is on the left because plotly's buttons cover the right half. A point may lack some losses, hence
        # connectgaps below.
        heading = {"text": html.escape(title), "x": 0.02, "xanchor": "left", "font": {"size": 15}}
        options = {
            "title": title,
            "layoutopts": {"plotly": {"title": heading}},
            "legend": names,
            "traceopts": {"plotly": {name: {"connectgaps": True, "line": {"width": 1.5}} for name in names}},
            "xlabel": "epoch",
            "ylabel": "loss",
            "width": 640,
            "height": 420,
        }
        self.client.line(Y=y, X=x, win=str(self.base), opts=options)

    def extend_curves(self, curves: Curves, start: int) -> bool:
        """Append the points from `start` on. Return False if the window no longer exists."""
        if not self.client.win_exists(str(self.base)):
            return False
        x, y = curves.table(start)
        self.client.line(Y=y, X=x, win=str(self.base), update="append")
        return True

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
