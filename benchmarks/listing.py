"""Seconds for listing a folder of very many files, with and without the stored index.

    python benchmarks/listing.py --files 1000000
    python benchmarks/listing.py --files 1000000 --per_folder 1000

The program makes empty files in the system's temporary folder, and removes them. The folder is then in the file system
cache: on a network or after a restart, listing takes longer. `first` lists the folder and stores the index.
"""

import os
import tempfile
import time
from pathlib import Path

import harness

from data.image_paths import make_dataset
from data.loading import index


def make_files(folder, count, per_folder):
    for number in range(count):
        if number % per_folder == 0:
            below = folder / f"{number // per_folder:06d}"
            below.mkdir(parents=True)
        os.close(os.open(f"{below}/{number:08d}.jpg", os.O_CREAT))
    time.sleep(index.RESOLUTION / 1e9 + 0.5)  # younger folders are not trusted


def measure(root, options):
    """{name: seconds, with their spread}"""
    os.environ["XDG_CACHE_HOME"] = str(root / "cache")
    make_files(root / "many", options.files, options.per_folder)
    clock, found = harness.Clock(options), {}

    def by(way, off):
        os.environ["METAMER_NO_INDEX"] = off
        return clock.seconds(lambda: found.update({way: make_dataset(root / "many")}))

    ways = {"looking": lambda: by("looking", "1"), "index": lambda: by("index", "0")}
    with harness.quietly():
        first = by("first", "0")
        rounds = harness.interleave(ways, options.rounds, after=lambda number: harness.out_of_time(options))
    assert found["looking"] == found["index"] == found["first"]
    return {name: harness.spread(values) for name, values in {"first": [first], **rounds}.items()}


def main(words=None):
    parser = harness.parser(__doc__)
    parser.add_argument("--files", type=int, default=100_000, help="how many (100000)")
    parser.add_argument("--per_folder", type=int, default=10**9, help="of them (none given: all in one folder)")
    options = harness.settle(parser.parse_args(words))
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder), options)
    lines = [[name, harness.shown(figure)] for name, figure in figures.items()]
    harness.table([f"{options.files:,} files", "seconds"], lines)
    harness.say_machine(options)
    return harness.report("listing", options, [{"name": name, "seconds": figure} for name, figure in figures.items()])


if __name__ == "__main__":
    main()
