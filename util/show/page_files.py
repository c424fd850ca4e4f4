"""The files of an HTML page: index.html, scripts and styles in assets/, and data files that grow by appending.

Scripts of a page that is opened from disk may not read files. The data files are therefore scripts: each line is one
call, such as ``metamer.item("horse", {...})``, and an addition appends one line.
"""

from __future__ import annotations

import html
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import quote

ASSETS = Path(__file__).parent / "assets"  # also used where the program is installed as a package
FOLDER = "assets"  # in the folder of a page
HEAD = """<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="assets/common.css">
<script defer src="assets/common.js"></script>"""  # replaces $head in the templates


def write_page(folder: str, template: str, title: str) -> None:
    """Write index.html from a template in ASSETS, copy its scripts and styles, and create its missing data files."""
    text = (ASSETS / template).read_text(encoding="utf-8")
    text = text.replace("$head", HEAD).replace("$title", html.escape(title))
    os.makedirs(os.path.join(folder, FOLDER), exist_ok=True)
    for name in re.findall(rf'(?:href|src)="{FOLDER}/([\w.]+)"', text):
        target = os.path.join(folder, FOLDER, name)
        if (ASSETS / name).is_file():
            shutil.copyfile(ASSETS / name, target)
        elif not os.path.exists(target):
            Path(target).touch()
    Path(folder, "index.html").write_bytes(text.encode("utf-8", "replace"))


class DataFile:
    """``<folder>/assets/<name>``, a script with one call per line."""

    def __init__(self, folder: str, name: str, keep: bool = False):
        """`keep` continues a file. A last line that a crash truncated is removed: the whole script would not parse."""
        self.path = os.path.join(folder, FOLDER, name)
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        whole = b""
        if keep and os.path.exists(self.path):
            content = Path(self.path).read_bytes()
            whole = content[: content.rfind(b"\n") + 1]
        Path(self.path).write_bytes(whole)

    def append(self, function: str, *arguments: Any) -> None:
        """Add a call of metamer.<function>; the arguments are JSON values, and NaN and infinities become null."""
        with open(self.path, "ab") as file:
            file.write(call(function, *arguments))


def call(function: str, *arguments: Any) -> bytes:
    """The line of a call, in ASCII: no encoding and no line separator of Unicode can break the script."""
    texts = (json.dumps(finite(value), separators=(",", ":"), allow_nan=False) for value in arguments)
    return f"metamer.{function}({','.join(texts)});\n".encode("ascii")


def finite(value: Any) -> Any:
    """The value with None for numbers that JSON does not have."""
    if isinstance(value, dict):
        return {str(key): finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [finite(each) for each in value]
    if isinstance(value, float):
        return value if abs(value) < float("inf") else None
    return value


def channels_shown(channels: int) -> str:
    """What an 8-bit image of a page shows of a number of channels other than 1 and 3."""
    return f"channels 1 to 3 of {channels}" if channels > 3 else "2 channels as red and green"


def image_url(name: str) -> str:
    """The relative, percent-encoded URL of a file in the image folder of a page."""
    return "images/" + quote(os.fsencode(name.replace(os.sep, "/")))


def roles(labels: list[str], paired: bool, declared: dict[str, tuple[str, str | None]] | None = None) -> dict[str, Any]:
    """The roles of the labels of a sample: {input, outputs, truth, others}.

    `declared`: {translation: (its input, a real image of its domain or None)}, a model's scored_visuals. The input of
    the first translation is the input, and the real image of its domain is the truth of a paired data set. Without
    declared translations the names of the original programs decide: the first real_* is the input, the second the
    truth. rec_* (the reconstruction of the input) and idt_* (an image of the target domain through the same generator)
    are others. All other labels are outputs.
    """
    found = [pair for fake, pair in (declared or {}).items() if fake in labels and pair[0] in labels]
    real = [label for label in dict.fromkeys(label for pair in found for label in pair) if label in labels]
    real = real or [label for label in labels if label.startswith("real")]
    others = [label for label in labels if label.startswith(("rec_", "idt_"))]
    return {
        "input": real[0] if real else None,
        "truth": real[1] if paired and len(real) > 1 else None,
        "outputs": [label for label in labels if label not in real and label not in others],
        "others": others,
    }
