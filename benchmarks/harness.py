"""Functions that the benchmarks share: interleaved rounds, medians with their range, machine, tables, JSON, clock.

Importing this module puts the project on the path before this folder. torch is imported only in functions that need it.
"""

import argparse
import contextlib
import importlib.metadata
import io
import json
import multiprocessing
import os
import platform
import statistics
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

PACKAGES = ("torch", "torchvision", "numpy", "Pillow")


def interleave(tasks, rounds, after=lambda number: False):
    """{name: [result of tasks[name]() in each round]}; every round runs all tasks, so a slow phase affects all.

    ``after(number)`` is called when a round has ended; true stops.
    """
    results = {name: [] for name in tasks}
    for number in range(rounds):
        for name, task in tasks.items():
            results[name].append(task())
        if after(number):
            break
    return results


def spread(values):
    """A figure: {median, min, max, n} of the values."""
    values = list(values)
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "n": len(values)}


def median(figure):
    """Of such a figure, or of a single number; None for None."""
    return figure["median"] if isinstance(figure, dict) else figure


def slope(xs, ys):
    """Increase of y per unit of x, by least squares."""
    return statistics.linear_regression(xs, ys).slope


def shown(figure, digits=2, factor=1):
    """A figure as text: ``2.29 (2.25..2.40)``; a plain number without its spread; nothing for None."""
    if figure is None:
        return ""
    if not isinstance(figure, dict):
        return f"{figure * factor:.{digits}f}"
    low, middle, high = (f"{figure[key] * factor:.{digits}f}" for key in ("min", "median", "max"))
    return middle if figure["n"] == 1 else f"{middle} ({low}..{high})"


def table(heads, lines):
    """Print lines of text cells in columns under their heads; only the first column is left-aligned."""
    widths = [max(map(len, column)) for column in zip(heads, *lines)]
    for line in (heads, *lines):
        cells = [cell.rjust(width) for cell, width in zip(line, widths)]
        print("  ".join([line[0].ljust(widths[0]), *cells[1:]]).rstrip())


def reason(error):
    """One line about an exception."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else ''}"


def in_own_process(function, *arguments):
    """The result of a module's function in a new process, which inherits no memory."""
    context = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")
    with ProcessPoolExecutor(1, mp_context=context) as child:
        return child.submit(function, *arguments).result()


# --- the machine ---------------------------------------------------------------------------------------------------


def machine(device="cpu"):
    """The machine and versions of a measurement; `load` is the load average at its end."""
    import torch

    gpu = None
    if str(device).startswith("cuda"):
        cuda = {"cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()}
        gpu = {"name": torch.cuda.get_device_name(), **cuda}
    return {
        "cpu": cpu_name(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "gpu": gpu,
        "system": platform.platform(),
        "python": platform.python_version(),
        **{name.lower(): version_of(name) for name in PACKAGES},
        "commit": commit(),
    }


def cpu_name():
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def version_of(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def commit():
    """The commit, with a + if files differ from it; None outside a repository."""
    try:
        words = ["git", "-C", str(ROOT), "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"]
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def resident():
    """Resident memory of this process in bytes; None if the system has no /proc."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    return None


# --- command lines -------------------------------------------------------------------------------------------------


def parser(doc, rounds=5):
    """A parser with the flags that all benchmarks have; `doc` is the module's docstring."""
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--rounds", type=int, default=rounds, help=f"times that each thing is measured ({rounds})")
    made.add_argument("--threads", type=int, default=0, help="of torch; 0: as many as it takes")
    busy = "cpu: seconds of the processor, for a machine that others use too; with --threads 1"
    made.add_argument("--clock", default="wall", choices=("wall", "cpu"), help=busy)
    made.add_argument("--device", default="auto", help="auto | cpu | cuda | cuda:N")
    made.add_argument("--time_limit", type=float, default=float("inf"), help="seconds; later rounds are left out")
    made.add_argument("--json", metavar="FILE", help="also write everything there")
    return made


def settle(options):
    """Set torch's threads and the device; exits if --clock can't measure the device."""
    import torch

    if options.threads:
        torch.set_num_threads(options.threads)
    if options.device == "auto":
        options.device = "cuda" if torch.cuda.is_available() else "cpu"
    if options.clock == "cpu" and options.device != "cpu":
        sys.exit(f"--clock cpu: it does not see the work of --device {options.device}")
    options.started = time.monotonic()
    return options


def out_of_time(options):
    return time.monotonic() - options.started > options.time_limit


def report(benchmark, options, rows, **more):
    """Write the JSON file of --json: the command, the machine, and a row per figure."""
    settings = {key: value for key, value in vars(options).items() if key not in ("json", "started")}
    settings |= {key: None for key, value in settings.items() if value == float("inf")}
    settings |= {key: [str(each) for each in value] for key, value in settings.items() if isinstance(value, list)}
    content = {"benchmark": benchmark, "settings": settings, "machine": machine(options.device), **more, "rows": rows}
    if options.json:
        Path(options.json).write_text(json.dumps(content, indent=1, default=str) + "\n", encoding="utf-8")
    return content


def say_machine(options):
    here = machine(options.device)
    gpu = f"{here['gpu']['name']}, CUDA {here['gpu']['cuda']}, " if here["gpu"] else ""
    print(
        f"{gpu}{here['cpu']}, {here['cores']} cores, {here['threads']} threads, load {here['load']}, "
        f"torch {here['torch']}, Python {here['python']}, commit {here['commit']}; {options.clock} clock"
    )


# --- time ----------------------------------------------------------------------------------------------------------


class Clock:
    """Seconds of a function, by wall clock or by processor time of this process; waits for a CUDA device."""

    def __init__(self, options):
        self.now = time.process_time if options.clock == "cpu" else time.perf_counter
        self.on_gpu = options.device.startswith("cuda")

    def seconds(self, function):
        self.wait()
        start = self.now()
        function()
        self.wait()
        return self.now() - start

    def wait(self):
        if self.on_gpu:
            import torch

            torch.cuda.synchronize()


def quietly():
    """A context in which nothing is printed."""
    return contextlib.redirect_stdout(io.StringIO())
