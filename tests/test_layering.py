"""The layers: which folders may import which, and the lengths of files and functions."""

import ast
import collections
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# folder or file -> the project's modules it may import (a prefix each)
MAY_IMPORT = {
    "models/tables.py": (),
    "models/architectures": ("models.architectures",),
    "models/losses.py": (),
    "models/schedules.py": (),
    "models/fit_out.py": ("models.architectures", "util.numerics"),
    "models/networks.py": (
        "models.architectures",
        "models.losses",
        "models.schedules",
        "models.tables",
        "util.numerics.precision",
    ),
    "models/builders.py": ("models.architectures.adjustable", "models.networks", "util"),
    "models/legacy.py": ("util",),
    "models/batches.py": ("models.architectures.adjustable", "util"),
    "models/reach.py": ("models.architectures.adjustable", "util.errors"),
    "models/tiled_images.py": ("models.reach", "models.tiling", "data.conversion", "util"),
    "models/augment.py": ("util.errors", "util.numerics.capturing"),
    "models/perceptual.py": ("models.fit_out", "models.networks", "util"),
    "models/paired.py": ("models.losses", "models.perceptual", "util"),
    "models/stability.py": ("models.augment", "models.losses", "util"),
    "models/translator.py": ("models", "data.conversion", "data.pictures", "data.values", "util"),
    "models/program.py": ("models.architectures.adjustable", "models.translator", "util.errors"),
    "models/tracing.py": ("models.program", "util.errors"),
    "models/base_model.py": (
        *("models.fit_out", "models.networks", "models.builders", "models.batches", "models.schedules"),
        *("models.legacy", "models.stability", "util"),
    ),
    "models/two_way.py": ("models.base_model", "models.legacy", "models.networks", "models.losses", "util"),
    "models/flags.py": ("models", "data.flags", "util"),
    "models": ("models", "util"),
    "data/image_names.py": (),
    "data/loading/index.py": ("util",),
    "data/loading/archive.py": ("data.loading.index", "data.image_names", "util"),
    "data/loading/worker.py": ("util",),
    "data/loading/headers.py": ("data.codecs", "data.loading.archive", "data.pictures", "util"),
    "data/loading/loader.py": (
        "data.find_dataset_using_name",
        "data.loading.headers",
        "data.loading.worker",
        "util",
    ),
    "data/image_paths.py": ("data.loading.archive", "data.loading.index", "data.image_names", "util"),
    "data/notices.py": ("util",),
    "data/tiff.py": ("data.notices", "util"),
    "data/codecs.py": ("data.tiff", "util"),
    "data/values.py": ("data.tiff",),
    "data/pictures.py": (
        *("data.codecs", "data.image_names", "data.loading.archive"),
        *("data.notices", "data.values", "util"),
    ),
    "data/conversion.py": ("data.notices", "data.pictures", "data.values"),
    "data/transforms.py": ("data.notices", "util"),
    "data": ("data", "util"),
    "util": ("util",),
    "options": ("options", "models", "data", "util"),
}
OURS = ("models", "data", "util", "options", "train", "test", "datasets", "scripts")


LONGEST_FILE, LONGEST_FUNCTION = 250, 50  # lines
PAGES = {"train.py": 80, "test.py": 50, "models/stargan_model.py": 130}  # lines; the files that users read first


def project_files():
    for folder in ("models", "data", "util", "options"):
        yield from sorted((ROOT / folder).rglob("*.py"))


def rule_for(path):
    parts = path.relative_to(ROOT).as_posix()
    return next(allowed for prefix, allowed in MAY_IMPORT.items() if parts == prefix or parts.startswith(prefix + "/"))


def imports_of(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            # "from models import networks" imports models.networks; "from util.html import HTML" imports util.html
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", list(project_files()), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_imports_follow_the_layers(path):
    allowed = rule_for(path)
    for name in imports_of(path):
        if name.split(".")[0] in OURS:
            assert any(name == prefix or name.startswith(prefix + ".") for prefix in allowed), name


def test_only_options_and_train_py_assign_to_opt():
    writers = {}
    for path in project_files():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            for target in targets:
                text = ast.unparse(target) if target is not None else ""
                if text.startswith(("opt.", "self.opt.")):
                    writers.setdefault(path.relative_to(ROOT).parts[0], []).append(f"{path.name}: {text}")
    assert set(writers) <= {"options"}, writers


def test_seeds_are_set_in_one_file():
    for path in project_files():
        if path.name != "seeding.py":
            source = path.read_text(encoding="utf-8")
            assert not any(call in source for call in ("manual_seed(", "random.seed(")), path


def test_tables_flags_and_lookups_do_not_import_torch():
    import subprocess
    import sys

    flags = [f"{path.parent.name}.{path.stem}" for path in project_files() if path.stem.endswith(("_options", "flags"))]
    assert {"models.flags", "data.flags", "options.flags", "options.train_options"} <= set(flags)
    names = ", ".join(["models", "data", "models.tables", *flags])
    program = f"import sys, {names}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT).returncode == 0


def lines_of(path):
    return len(path.read_text(encoding="utf-8").splitlines())


@pytest.mark.parametrize("path", list(project_files()), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_files_and_functions_are_short(path):
    assert lines_of(path) <= LONGEST_FILE
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert node.end_lineno - node.lineno < LONGEST_FUNCTION, node.name


@pytest.mark.parametrize(("name", "most"), PAGES.items())
def test_train_py_and_test_py_are_shorter(name, most):
    assert lines_of(ROOT / name) <= most


def test_names_of_test_files_are_unique():
    """pytest imports test files by name alone, and refuses a second file of the same name in a whole run only."""
    names = collections.Counter(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name, number in names.items() if number > 1] == []
