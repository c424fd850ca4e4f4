"""Write a page that compares runs: metrics, losses, translations of the same inputs, options that differ.

    python scripts/compare_runs.py checkpoints/horses checkpoints/horses_cut --output comparison

The images are results of tests in --results_dir; for runs without a test, fixed samples of the training
(--display_samples) that the runs have in common. The folder can be copied elsewhere and opened from disk.
"""

import os
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from options.parser import OptionParser
from util.errors import InputError, clear_errors
from util.files import cannot_write, make_folder
from util.flags import Int
from util.show.comparison import curves_of, metrics_of, option_differences, pictures_of_samples, pictures_of_test
from util.show.page_files import DataFile, image_url, write_page

OURS = {"index.html", "assets", "images"}


def read_options(command_line):
    parser = OptionParser(command_line)
    parser.description = "Write a page that compares runs: metrics, losses, translations of the same inputs, options."
    parser.add_argument("runs", nargs="+", help="folders of the runs, such as checkpoints/horses")
    parser.add_argument("--output", required=not parser.wants_help(), help="folder for the page")
    parser.add_argument("--results_dir", default="./results", help="where the tests of the runs are")
    parser.add_argument("--test", default="test_latest", help="name of the test in the results of each run")
    parser.add_argument("--images", type=Int(0), default=100, help="show this many images at most")
    return parser.parse_args(command_line)


def check(options):
    for run in options.runs:
        if not os.path.isfile(os.path.join(run, "train_opt.json")):
            raise InputError(f"{run}: not the folder of a run, it has no train_opt.json")
    if len(options.runs) < 2:
        raise InputError(f"{options.runs[0]}: give two runs or more to compare")
    foreign = set(os.listdir(options.output)) - OURS if os.path.isdir(options.output) else set()
    if foreign:
        raise InputError(f"--output {options.output}: it holds other files ({min(foreign)}); choose another folder")


def names_of(runs):
    """A name for each run: the shortest end of its path that no other run has."""
    paths = [Path(os.path.abspath(run)).parts for run in runs]
    for length in range(1, max(map(len, paths)) + 1):
        names = ["/".join(parts[-length:]) for parts in paths]
        if len(set(names)) == len(names):
            return names
    raise InputError(f"{runs[0]}: the same run is given twice")


def copied(row, output, number):
    """Copy the images of a row into the folder of the page; returns the row with their addresses."""

    def copy(path, name):
        if path is None:
            return None
        file = f"{number:05d}_{name}{os.path.splitext(path)[1]}"
        shutil.copyfile(path, os.path.join(output, "images", file))
        return image_url(file)

    outputs = [copy(path, f"run{index}") for index, path in enumerate(row["outputs"], start=1)]
    return {**row, "input": copy(row["input"], "input"), "outputs": outputs, "truth": copy(row["truth"], "truth")}


def write(options, names):
    runs, output = options.runs, options.output
    tests = [os.path.join(options.results_dir, os.path.basename(os.path.abspath(run)), options.test) for run in runs]
    rows = pictures_of_test(tests) or pictures_of_samples(runs)
    for name in ("assets", "images"):
        shutil.rmtree(os.path.join(output, name), ignore_errors=True)
    os.makedirs(os.path.join(output, "images"))
    write_page(output, "compare.html", f"{names[0]} and {len(names) - 1} other{'s' * (len(names) > 2)}")
    page = {
        "runs": [{"name": name, "losses": curves_of(run)} for name, run in zip(names, runs)],
        "metrics": metrics_of(runs, tests),
        "options": option_differences(runs),
        "rows": [copied(row, output, number) for number, row in enumerate(rows[: options.images], start=1)],
    }
    DataFile(output, "runs.js").append("describe", page)
    return page


def main(command_line=None):
    options = read_options(sys.argv[1:] if command_line is None else command_line)
    check(options)
    names = names_of(options.runs)
    make_folder("--output", options.output)
    try:
        page = write(options, names)
    except OSError as error:
        raise InputError(cannot_write(options.output, error)) from error
    if not page["rows"]:
        print("no pictures of the same inputs: test the runs on the same images, or train them with the same --seed")
    print(f"{len(names)} runs, {len(page['rows'])} images: {os.path.join(options.output, 'index.html')}")
    return 0


if __name__ == "__main__":
    with clear_errors():
        sys.exit(main())
