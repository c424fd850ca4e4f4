"""Whether a faster setting trains as well: error against the known truth, several seeds each, and the time it took.

    python benchmarks/quality.py --setting "plain=--economies no" --setting "bf16=--precision bf16" --seeds 0 1 2
    python benchmarks/quality.py --dataroot ./datasets/facades --aligned --direction BtoA \\
        --base "--model pix2pix --direction BtoA --load_size 286 --crop_size 256 --n_epochs 100 --n_epochs_decay 100"

Without --dataroot it draws unpaired shapes whose translations are known and trains CycleGAN on them as
scripts/demo.sh does. Runs take turns: all settings with the first seed, then all with the next.
"""

import argparse
import json
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness import ROOT, machine

DEMO = (
    "--model cycle_gan --netG resnet_6blocks --ngf 16 --ndf 16 --load_size 64 --crop_size 64 --n_epochs 4 "
    "--n_epochs_decay 4 --num_threads 1 --print_freq 200"
)
DEFAULTS = ["plain=--economies no --precision fp32", "default=", "bf16=--precision bf16"]
QUIET = ["--display_id", "0", "--no_html", "--overwrite"]


def program(*words):
    done = subprocess.run([sys.executable, *map(str, words)], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, words))} failed:\n{done.stderr}")
    return done.stdout


def truth(options, folder):
    """(data folder, what scripts/measure.py is told about the truth)."""
    if options.dataroot is None:
        data = Path(folder) / "shapes"
        sizes = ("--size", options.size, "--train", options.train, "--test", options.test)
        program("datasets/make_shapes.py", "--to", data, *sizes)
        return data, ["--truth", data / "testB", "--input", data / "testA", "--mean", data / "trainB"]
    data = Path(options.dataroot)
    if options.aligned:
        return data, ["--aligned", data / "test", "--aligned_mean", data / "train", "--direction", options.direction]
    return data, ["--truth", data / "testB", "--input", data / "testA", "--mean", data / "trainB"]


def one_run(options, words, seed, data, against, folder):
    """Train, test and measure once: {l1: {who: error in [-1, 1]}, seconds}."""
    where = ["--dataroot", data, "--checkpoints_dir", folder, "--name", "run", *options.device]
    start = time.monotonic()
    program("train.py", *where, *QUIET, *shlex.split(options.base), "--seed", seed, *words)
    seconds = time.monotonic() - start
    program("test.py", *where, "--results_dir", Path(folder) / "results")
    pictures, numbers = Path(folder) / "results/run/test_latest", Path(folder) / "measured.json"
    program("scripts/measure.py", "--results", pictures, *against, "--json", numbers)
    means = json.loads(numbers.read_text())["mean"]
    return {"l1": {who: each["l1"] for who, each in means.items()}, "seconds": seconds}


def read_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--setting", action="append", metavar="NAME=FLAGS", help=f"repeat it (none: {DEFAULTS})")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--base", default=DEMO, help="flags of all runs")
    parser.add_argument("--dataroot", help="data with a known truth (none: drawn shapes)")
    parser.add_argument("--aligned", action="store_true", help="its images hold A and B side by side")
    parser.add_argument("--direction", default="AtoB", choices=("AtoB", "BtoA"))
    parser.add_argument("--size", type=int, default=64, help="of drawn shapes")
    parser.add_argument("--train", type=int, default=200, help="drawn training images of each domain")
    parser.add_argument("--test", type=int, default=20, help="drawn test images of each domain")
    parser.add_argument("--device", default=[], type=lambda word: ["--device", word])
    parser.add_argument("--json", metavar="FILE", help="write all numbers there")
    options = parser.parse_args()
    options.settings = dict(text.split("=", 1) for text in options.setting or DEFAULTS)
    return options


def main():
    options = read_options()
    found = {name: [] for name in options.settings}
    with tempfile.TemporaryDirectory() as folder:
        data, against = truth(options, folder)
        for seed in options.seeds:
            for name, words in options.settings.items():
                found[name].append(one_run(options, shlex.split(words), seed, data, against, folder))
                l1 = found[name][-1]["l1"]["fake_B"]
                print(f"seed {seed}  {name:12} L1 {l1:.4f}  {found[name][-1]['seconds']:.0f} s", flush=True)
    print(f"\n{'':12}  {'L1 in [-1, 1], mean (each seed)':44}  seconds, median")
    for name, runs in found.items():
        errors = [run["l1"]["fake_B"] for run in runs]
        each = ", ".join(f"{error:.4f}" for error in errors)
        seconds = statistics.median(run["seconds"] for run in runs)
        print(f"{name:12}  {statistics.mean(errors):.4f} ({each}){'':20}  {seconds:.0f}")
    simple = {who: error for who, error in next(iter(found.values()))[0]["l1"].items() if who != "fake_B"}
    print("simple answers: " + ", ".join(f"{who} {error:.4f}" for who, error in simple.items()))
    if options.json:
        content = {"machine": machine(), "settings": options.settings, "seeds": options.seeds, "runs": found}
        Path(options.json).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
