"""How large files and functions may be: each fits into a reader's head, and a page onto a screen or two."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("options", "models", "data", "util")
PRODUCT = sorted([*ROOT.glob("*.py"), *(path for name in FOLDERS for path in (ROOT / name).rglob("*.py"))])
FILE, FUNCTION = 250, 50  # lines
PAGES = {"train.py": 80, "test.py": 50, "models/stargan_model.py": 130}


def lines(path):
    return len(path.read_text(encoding="utf-8").splitlines())


@pytest.mark.parametrize("path", PRODUCT, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_files_and_functions_are_short(path):
    assert lines(path) <= FILE
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert node.end_lineno - node.lineno < FUNCTION, node.name


@pytest.mark.parametrize(("name", "most"), PAGES.items())
def test_the_pages_that_people_read_first_are_shorter(name, most):
    assert lines(ROOT / name) <= most
