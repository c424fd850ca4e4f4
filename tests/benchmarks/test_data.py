"""benchmarks/data.py and listing.py run with tiny sizes, and their figures are consistent."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def run(program, *words, to):
    command = [sys.executable, str(ROOT / "benchmarks" / program), *map(str, words), "--json", str(to)]
    done = subprocess.run(command, cwd=to.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(to.read_text()), done.stdout


def test_images_and_their_rates(tmp_path):
    words = "--images 3 --drawn_size 32 --rounds 2 --threads 1 --clock cpu --batch_size 2 --workers 0".split()
    report, printed = run("data.py", *words, to=tmp_path / "figures.json")
    seconds = {row["name"]: row["seconds"] for row in report["rows"]}
    assert {"decode", "item", "one of a shard", "scaled ahead", "resize", "to_tensor"} <= set(seconds)
    assert all(figure["n"] == 2 and 0 < figure["min"] <= figure["median"] for figure in seconds.values())
    assert 0 < report["ratio"]["median"] < 1  # an item is decoded too
    assert {row["kind"] for row in report["rates"]} == {"items", "ready float32", "ready uint8"}
    assert "3 images from (32, 32)" in printed


def test_a_folder_is_listed_with_and_without_the_index(tmp_path):
    report, _ = run("listing.py", "--files", 50, "--per_folder", 20, "--rounds", 1, to=tmp_path / "figures.json")
    assert [row["name"] for row in report["rows"]] == ["first", "looking", "index"]
