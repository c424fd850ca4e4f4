"""Start-up time: of the help page, of the error for a mistyped flag, and until the first training step.

    python benchmarks/startup.py

Each command is a new process, and every round runs all commands; wall-clock seconds and peak memory. The first row is
the import of torch, which every training includes.
"""

import contextlib
import sys
import tempfile
import time
from pathlib import Path

import harness
import programs

COMMANDS = {
    "import torch": ("-c", "import torch"),
    "train.py -h": ("train.py", "-h"),
    "train.py --model stargan -h": ("train.py", "--model", "stargan", "-h"),
    "train.py --modle cut": ("train.py", "--modle", "cut"),
}
REFUSED = 2  # exit code of a mistyped flag
TO_THE_FIRST_STEP = {"first step, no workers": "0", "first step, 4 workers": "4"}  # --num_threads


def first_step(folder, workers, device):
    """Seconds from the command to the end of the first training step of a tiny model, as its line of losses shows."""
    words = ["train.py", "--dataroot", folder, "--checkpoints_dir", folder, "--overwrite", "--device", device]
    words += [*programs.TINY, *programs.SILENT, "--num_threads", workers, "--print_freq", "1", "--no_html"]
    start = time.perf_counter()
    with programs.started(words) as training:
        next(programs.lines_matching(training, r"^\(epoch: "))
        return {"seconds": time.perf_counter() - start}


def command(words):
    seconds, memory = programs.run([sys.executable, *words], fine=(0, REFUSED))
    return {"seconds": seconds, "memory": memory}


def attempted(function, *arguments):
    try:
        return function(*arguments)
    except Exception as error:
        return {"error": harness.reason(error)}


def measure(options):
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        for side in ("trainA", "trainB"):
            harness.in_own_process(programs.photos, Path(folder, side), 8, 32)
        tasks = {name: lambda words=words: attempted(command, words) for name, words in COMMANDS.items()}
        tasks |= {
            name: lambda workers=workers: attempted(first_step, folder, workers, options.device)
            for name, workers in TO_THE_FIRST_STEP.items()
        }
        found = harness.interleave(tasks, options.rounds, lambda number: harness.out_of_time(options))
    reference = found["import torch"]
    return [row_of(name, samples, reference) for name, samples in found.items()]


def row_of(name, samples, reference):
    errors = [sample["error"] for sample in samples if "error" in sample]
    if errors:
        return {"command": name, "error": errors[0]}
    row = {"command": name, "error": None}
    row |= {key: harness.spread(sample[key] for sample in samples) for key in samples[0]}
    pairs = zip(samples, reference)
    row["over_import_torch"] = harness.spread(mine["seconds"] / its["seconds"] for mine, its in pairs)
    return row


def show(rows):
    lines = []
    for row in rows:
        figures = [harness.shown(row.get("seconds")), harness.shown(row.get("over_import_torch"))]
        lines.append([row["command"], *figures, row["error"] or harness.shown(row.get("memory"), 0, 1e-6)])
    harness.table(["command", "s", "/ import torch", "MB"], lines)


def main(words=None):
    options = harness.parser(__doc__).parse_args(words)
    options.started = time.monotonic()
    rows = measure(options)  # before this process has torch: a child's peak of memory begins with its parent's
    harness.settle(options)
    harness.say_machine(options)
    show(harness.report("startup", options, rows)["rows"])


if __name__ == "__main__":
    main()
