"""Fixtures: photos, and user files in models/ and data/."""

import sys
import textwrap

import numpy as np
import pytest
from PIL import Image

import data
import models


@pytest.fixture
def photos(tmp_path):
    rng = np.random.default_rng(0)
    for side in ("trainA", "trainB", "testA", "testB"):
        (tmp_path / "photos" / side).mkdir(parents=True)
        for i in range(3):
            pixels = rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / side / f"{i}.png")
    return tmp_path / "photos"


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """plugin("mine_model", source): a file in models/ (or data/) that precedes a built-in file of the same name."""

    def write(name, source):
        package = models if name.endswith("_model") else data
        folder = tmp_path / "plug_ins" / package.__name__
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.py").write_text(textwrap.dedent(source))
        if str(folder) not in package.__path__:
            monkeypatch.setattr(package, "__path__", [str(folder), *package.__path__])
        full = f"{package.__name__}.{name}"
        before = sys.modules.pop(full, None)
        written.append((package, name, full, before))

    written = []
    yield write
    for package, name, full, before in reversed(written):
        sys.modules.pop(full, None)
        if before is not None:
            sys.modules[full] = before
            setattr(package, name, before)
        elif hasattr(package, name):
            delattr(package, name)
