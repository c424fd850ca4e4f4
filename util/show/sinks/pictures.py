"""Several images as one grid, and the HTML table of their labels, for a dashboard."""

import html
from collections.abc import Sequence

import numpy as np
from PIL import Image

LARGEST = 512  # pixels; larger images are scaled down, so that they are fast to send and to display
GAP = 4


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
