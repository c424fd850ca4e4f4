"""Growth with the size of a run: start-up time by files, update of the page of images by epochs, memory by steps.

    python benchmarks/growth.py                        all three
    python benchmarks/growth.py --on files --files 1000 1000000

files   Seconds until the dataset is created, seconds until its first batch, and memory, each time in a new process.
        "first" is the first start with a folder, "again" are later starts.
epochs  Milliseconds for updating the page of images, and its size in bytes: medians of ten epochs.
steps   Memory of `python train.py` with a tiny model, by number of steps.

A slope is the increase for 1000 more files, epochs or steps, by least squares.
"""

import argparse
import contextlib
import re
import tempfile
import time
from pathlib import Path

import harness
import numpy as np
import programs

from util.errors import clear_errors


def with_slope(rows, x, y, what):
    """The slope of the figure `y` for 1000 more of `x`."""
    points = [(row[x], row[y]["median"] if isinstance(row[y], dict) else row[y]) for row in rows]
    points = [point for point in points if point[1] is not None]
    rise = harness.slope(*zip(*points)) * 1000 if len(points) > 1 else None
    return {"of": what, "per_1000": x, "slope": rise}


# --- files -----------------------------------------------------------------------------------------------------------


def start(folder):
    """For a new process: seconds until the dataset and until its first batch, and the memory of both in bytes."""
    from data import create_dataset
    from options.train_options import TrainOptions

    words = ["--dataroot", folder, "--num_threads", "0", "--device", "cpu", "--seed", "0"]
    with harness.quietly():
        opt = TrainOptions([*words, "--load_size", "8", "--crop_size", "8", "--checkpoints_dir", folder]).parse()
        import data.loading.loader  # noqa: F401  the import of torch is not what grows

        before, begin = harness.resident(), time.perf_counter()
        dataset = create_dataset(opt)
        stands = time.perf_counter() - begin
        dataset.set_epoch(1)
        next(iter(dataset))
        first = time.perf_counter() - begin
    grown = None if before is None else harness.resident() - before
    return {"seconds": stands, "first_batch": first, "memory": grown}


def measure_files(options):
    rows = []
    with contextlib.ExitStack() as stack:
        folders = {}
        for number in options.files:
            folders[number] = stack.enter_context(tempfile.TemporaryDirectory())
            programs.dots(Path(folders[number], "trainA"), number)
            programs.dots(Path(folders[number], "trainB"), 1)
        tasks = {
            number: lambda folder=folder: harness.in_own_process(start, folder) for number, folder in folders.items()
        }
        for number, found in harness.interleave(tasks, options.rounds + 1).items():
            for which, samples in (("first", found[:1]), ("again", found[1:])):
                figures = {key: _spread(sample[key] for sample in samples) for key in samples[0]} if samples else {}
                rows += [{"part": "files", "files": number, "start": which, **figures}] if figures else []
    last = [row for row in rows if row["start"] == rows[-1]["start"]]
    slopes = [with_slope(last, "files", key, key) for key in ("seconds", "first_batch", "memory")]
    return rows, slopes


def _spread(values):
    values = list(values)
    return None if None in values else harness.spread(values)


# --- epochs ----------------------------------------------------------------------------------------------------------


def measure_epochs(options):
    from util.visualizer import Visualizer

    with tempfile.TemporaryDirectory() as folder, harness.quietly():
        opt = argparse.Namespace(
            checkpoints_dir=folder, name="run", isTrain=True, no_html=False, display_winsize=256, display_id=-1
        )
        opt.use_wandb = opt.use_tensorboard = opt.continue_train = False
        visualizer = Visualizer(opt)
        names = ("real_A", "fake_B", "rec_A", "idt_B", "real_B", "fake_A", "rec_B", "idt_A")
        pictures = dict.fromkeys(names, np.zeros((8, 8, 3), np.uint8))
        page, seconds, sizes = Path(folder, "run", "web", "plain.html"), [], []
        for epoch in range(1, max(options.epochs) + 1):
            begin = time.perf_counter()
            visualizer.display_current_results(pictures, epoch, epoch, True)
            seconds.append(time.perf_counter() - begin)
            sizes.append(page.stat().st_size)
        visualizer.close()
    rows = []
    for epoch in options.epochs:
        about = seconds[max(0, epoch - 10) : max(10, epoch)]
        rows.append({"part": "epochs", "epochs": epoch, "seconds": harness.spread(about), "size": sizes[epoch - 1]})
    return rows, [with_slope(rows, "epochs", key, key) for key in ("seconds", "size")]


# --- steps -----------------------------------------------------------------------------------------------------------


def measure_steps(options):
    """Memory of the training program whenever it prints a line of losses, which is every `epoch` steps."""
    epoch = min(options.steps)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for side in ("trainA", "trainB"):
            programs.photos(Path(folder, side), epoch, 32)
        words = ["train.py", "--dataroot", folder, "--checkpoints_dir", folder, "--num_threads", "0"]
        words += [*programs.TINY, *programs.SILENT, "--device", options.device, "--save_epoch_freq", "1000000"]
        words += [
            "--print_freq",
            str(epoch),
            "--n_epochs",
            str(-(-max(options.steps) // epoch)),
            "--n_epochs_decay",
            "0",
        ]
        with programs.started(words, options.threads or 1) as training:
            for found in programs.lines_matching(training, r"^\(epoch: (\d+), iters: (\d+)"):
                steps = (int(found[1]) - 1) * epoch + int(found[2])
                if steps in options.steps:
                    rows.append({"part": "steps", "steps": steps, "memory": memory_of(training.pid)})
                if steps >= max(options.steps):
                    break
    return rows, [with_slope(rows, "steps", "memory", "memory")]


def memory_of(pid):
    """Resident memory of another process in bytes; None if /proc does not have it."""
    with contextlib.suppress(OSError):
        found = re.search(r"^VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(encoding="utf-8"), re.MULTILINE)
        return int(found[1]) * 1024 if found else None
    return None


# --- the command -----------------------------------------------------------------------------------------------------

PARTS = {"files": measure_files, "epochs": measure_epochs, "steps": measure_steps}
UNITS = {"seconds": ("ms", 1e3), "first_batch": ("ms", 1e3), "memory": ("MB", 1e-6), "size": ("kB", 1e-3)}


def read_options(words):
    parser = harness.parser(__doc__, rounds=3)
    parser.add_argument("--on", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--files", nargs="+", type=int, default=[1000, 10_000, 100_000])
    parser.add_argument("--epochs", nargs="+", type=int, default=[1, 100, 1000])
    parser.add_argument("--steps", nargs="+", type=int, default=[100, 1000, 5000])
    options = parser.parse_args(words)
    if any(steps % min(options.steps) for steps in options.steps):
        parser.error("--steps: each must be a multiple of the least of them")
    return harness.settle(options)


def show(content, options):
    harness.say_machine(options)
    for row in content["rows"]:
        figures = [
            f"{key} {harness.shown(row[key], 2, factor)} {unit}" for key, (unit, factor) in UNITS.items() if key in row
        ]
        print(
            f"{row['part']} {row[row['part']]:>7}{' ' + row['start'] if 'start' in row else ''}: {', '.join(figures)}"
        )
    for slope in content["slopes"]:
        unit, factor = UNITS[slope["of"]]
        print(
            f"slope: {slope['of']} {harness.shown(slope['slope'], 3, factor)} {unit} for 1000 more {slope['per_1000']}"
        )
    for part, error in content["errors"].items():
        print(f"{part}: {error}")


def main(words=None):
    options = read_options(words)
    rows, slopes, errors = [], [], {}
    for part in options.on:
        try:
            own_rows, own_slopes = PARTS[part](options)
        except Exception as error:
            errors[part] = harness.reason(error)
            continue
        rows, slopes = rows + own_rows, slopes + own_slopes
    show(harness.report("growth", options, rows, slopes=slopes, errors=errors), options)


if __name__ == "__main__":
    with clear_errors():
        main()
