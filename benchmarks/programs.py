"""Synthetic training data, and the project's programs as processes: output, time, memory."""

import contextlib
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import harness

# A run that shows and saves nothing but its lines of losses; the visdom server is another program's time.
SILENT = ("--display_id", "-1", "--save_latest_freq", "1000000", "--update_html_freq", "1000000", "--seed", "0")

# As small as these networks get: what is left of the time and the memory is the program's own.
TINY = "--ngf 4 --ndf 4 --netG resnet_6blocks --load_size 32 --crop_size 32".split()


def photos(folder, number, size, formats=("jpg",)):
    """Write smooth images with some noise, which take as long to decode as photos; returns their paths."""
    import numpy as np  # here, so that a program that only measures others stays small itself
    from PIL import Image

    Path(folder).mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    paths = []
    for index in range(number):
        coarse = Image.fromarray(generator.integers(0, 256, (size // 16 + 1, size // 16 + 1, 3), dtype=np.uint8))
        picture = np.asarray(coarse.resize((size, size), Image.Resampling.BICUBIC), dtype=np.int16)
        picture = picture + generator.integers(-8, 9, picture.shape, dtype=np.int16)
        path = Path(folder) / f"{index:05d}.{formats[index % len(formats)]}"
        Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(path, quality=90)
        paths.append(str(path))
    return paths


def dots(folder, number):
    """Make `number` tiny image files; groups of ten thousand are hard links to one file."""
    from PIL import Image

    Path(folder).mkdir(parents=True)
    for index in range(number):
        path = os.path.join(folder, f"{index:06d}.png")
        if index % 10_000 == 0:  # file systems allow from about 65,000 links
            first = path
            Image.new("RGB", (8, 8)).save(path)
        else:
            os.link(first, path)


@contextlib.contextmanager
def started(words, threads=0):
    """Run a Python program of the project with `threads` threads; it is killed at the end of the context."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    if threads:
        environment["OMP_NUM_THREADS"] = str(threads)
    process = subprocess.Popen(
        [sys.executable, *words],
        cwd=harness.ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def lines_matching(process, pattern):
    """Yields the matches in the lines of the process's output; RuntimeError if the process fails."""
    said = []
    for line in process.stdout:
        found = re.search(pattern, line)
        if found:
            yield found
        said = [*said[-19:], line]
    if process.wait() != 0:
        raise RuntimeError(f"{' '.join(process.args[1:4])} ... failed: {said[-1].strip() if said else 'no output'}")


def run(words, fine=(0,)):
    """(seconds, peak memory in bytes) of a program; RuntimeError if its exit code is not in `fine`."""
    start = time.perf_counter()
    with open(os.devnull, "w") as nowhere:
        process = subprocess.Popen(words, cwd=harness.ROOT, stdout=nowhere, stderr=subprocess.PIPE, text=True)
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stderr.close()
    if process.returncode not in fine:
        raise RuntimeError(f"{' '.join(words[1:])} failed: {said.strip().splitlines()[-1] if said.strip() else ''}")
    # In KiB; on macOS in bytes. It begins with what this process had when it made the child, so keep this one small.
    return seconds, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
