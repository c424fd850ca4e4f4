"""Many pictures as one: the grid and the table of labels that stand beside each other on a dashboard."""

import html

import numpy as np
from PIL import Image

LARGEST = 512  # pixels; a larger picture is shown smaller, so that a dashboard stays quick to send and to look at
GAP = 4


def as_rgb(picture):
    """Any uint8 picture, (H, W) or (H, W, C), as (H, W, 3), shrunk to LARGEST where it is larger."""
    picture = np.asarray(picture)
    if picture.ndim == 2:
        picture = picture[:, :, None]
    picture = picture[:, :, :3] if picture.shape[2] >= 3 else np.repeat(picture[:, :, :1], 3, axis=2)
    longest = max(picture.shape[:2])
    if longest > LARGEST:
        height, width = (max(1, round(side * LARGEST / longest)) for side in picture.shape[:2])
        picture = np.asarray(Image.fromarray(np.ascontiguousarray(picture)).resize((width, height), Image.BICUBIC))
    return picture


def grid(pictures, columns):
    """One white sheet (H, W, 3) with the pictures row by row, each in the middle of a cell as large as the largest."""
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


def label_table(names, columns):
    """HTML that names the cells of `grid`, in the same rows and columns."""
    columns = min(columns, len(names))
    style = f"border:1px solid #ccc;padding:4px;width:{100 / columns:.4g}%"
    cells = [f'<td style="{style}">{html.escape(name)}</td>' for name in names]
    cells += ["<td></td>"] * (-len(cells) % columns)
    rows = ["".join(cells[start : start + columns]) for start in range(0, len(cells), columns)]
    style = "width:100%;table-layout:fixed;border-collapse:collapse;text-align:center;overflow-wrap:anywhere"
    return f'<table style="{style}">' + "".join(f"<tr>{row}</tr>" for row in rows) + "</table>"
