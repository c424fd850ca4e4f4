"""Scores of the models after the same processor time, with different settings, on drawn shapes or on photos.

    python benchmarks/quality.py --seconds 12         # all models; averaged weights; bf16; DiffAugment on 50 images
    python benchmarks/quality.py --run "plain=--economies no" --run "half=--precision bf16" --seconds 60
    python benchmarks/quality.py --dataroot ./datasets/facades --direction BtoA --size 64 --metrics l1,ssim,judge_kid
    python benchmarks/quality.py --dataroot ./datasets/cat2dog --size 64 --metrics judge_kid,judge,edges

Without --dataroot it draws shapes: the same scenes unpaired and as pairs, whose true translations are known. The
images of a --dataroot are scaled to --size, and pairs are also written as unpaired folders. A short training of each
kind measures how many iterations fit into --seconds; then all runs are trained with the first seed, then all with the
next. Each run keeps six checkpoints with averaged weights (--ema). The last weights, the averaged weights and the best
checkpoint by the first of --metrics are scored on the test images. A metric that compares with a true translation
needs pairs, or equal names in testA and testB; judge and judge_kid use a classifier of the two domains, which is
trained first.
"""

import argparse
import contextlib
import io
import json
import re
import shlex
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from harness import machine, table
from layouts import draw, scaled

import train
from data.image_folder import make_dataset
from data.pictures import open_image
from models import create_model
from models.trained import options_of
from models.translator import Translator
from scripts import run_curve, train_judge
from util.errors import InputError, clear_errors
from util.evaluation import Images, Settings, evaluate
from util.files import replacing
from util.metrics.pixels import mean_image
from util.metrics.table import METRICS, PAIR, SET, better, parse

SMALL = "--netG resnet_6blocks --ngf 8 --ndf 8 --norm instance --no_dropout --load_size {size} --crop_size {size}"
SMALL_STARGAN = (  # its target domain is that of another image of the batch
    "--model stargan --dataset_mode labelled_folders --image_size {size} "
    "--g_conv_dim 8 --d_conv_dim 8 --d_repeat_num 5 --batch_size 8"
)
RUNS = {
    **{name: f"--model {name}" for name in ("pix2pix", "cycle_gan", "cut", "fastcut", "dclgan", "simdcl")},
    "stargan": SMALL_STARGAN,
    "cycle_gan, bf16": "--model cycle_gan --precision bf16",
}
DIFFAUGMENT = " --diffaugment color,translation,cutout"
for name, flags in (("pix2pix, 50 pairs", "--model pix2pix"), ("cycle_gan, 50 images", "--model cycle_gan")):
    RUNS[name] = f"{flags} --max_dataset_size 50"
    RUNS[f"{name}, DiffAugment"] = RUNS[name] + DIFFAUGMENT
RUNS["pix2pix, 50 pairs, DiffAugment without color"] = RUNS["pix2pix, 50 pairs"] + " --diffaugment translation,cutout"
LAYOUTS = {"pix2pix": "paired", "stargan": "domains"}  # the other models take unpaired images
CHECKPOINTS = 6
VARIANTS = ("last", "averaged", "best")
FIXED = "--display_id 0 --no_html --num_threads 0 --save_epoch_freq 1000000 --overwrite --print_freq 1000000"


def quietly(function, *arguments):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return function(*arguments)


def seconds_of(words):
    """Processor seconds of a training in this process."""
    start = time.process_time()
    code = quietly(train.main, words)
    if code:  # a signal, which a training answers by saving and leaving
        sys.exit(code)
    return time.process_time() - start


def layout_of(flags):
    model = re.search(r"--model[ =](\w+)", flags)
    return LAYOUTS.get(model and model[1], "unpaired")


class Bench:
    """The data in all layouts, the flags of all runs, and the folder of the runs."""

    def __init__(self, options, folder):
        self.options, self.folder = options, folder
        self.source, self.target = "BA" if options.direction == "BtoA" else "AB"
        if options.dataroot is None:
            self.data = draw(folder, options.size, options.train or 200, options.test or 20)
        else:
            self.data = scaled(options.dataroot, folder, options.size, options.train, options.test)
        self.truth, self.inputs = self.images(f"test{self.target}"), self.images(f"test{self.source}")
        judge = self.train_judge() if any(METRICS[name].judge for name in options.metrics) else None
        self.settings = Settings(resamples=0, judge=judge)

    def images(self, part):
        paths = make_dataset(str(self.data["unpaired"] / part))
        return Images({Path(path).stem: path for path in paths}, open_image, part)

    def train_judge(self):
        path = str(self.folder / "judge.pth")
        words = ["--image_size", str(self.options.size), "--output", path]
        for flag, side in (("--domain_a", self.source), ("--domain_b", self.target)):
            words += [flag, str(self.data["unpaired"] / f"train{side}")]
        quietly(train_judge.main, words)
        return path

    def words(self, flags, seed, name="run"):
        layout, base = layout_of(flags), FIXED
        if layout != "domains":  # StarGAN has its own flags of sizes, and learns all directions
            base = f"{self.options.base} --direction {self.options.direction} {base}"
        where = ["--dataroot", str(self.data[layout]), "--checkpoints_dir", str(self.folder), "--name", name]
        flags = f"{base} {flags} --device {self.options.device} --seed {seed}"
        return [*where, *shlex.split(flags.format(size=self.options.size))]

    def iterations(self, flags):
        """Iterations that fit into --seconds, from short trainings of two lengths, each at its fastest."""
        few, more = 4, 64 if self.options.seconds >= 10 else 16
        words = [*self.words(flags, 0, "short"), "--n_iters_decay", "0", "--n_iters"]
        short, longer = (min(seconds_of([*words, str(count)]) for _ in range(2)) for count in (few, more))
        return max(CHECKPOINTS, round(self.options.seconds * (more - few) / max(1e-3, longer - short)))

    def run(self, flags, seed, iterations):
        """Train once: scores of each variant, processor seconds, and the curve of the averaged weights."""
        shutil.rmtree(self.folder / "run", ignore_errors=True)
        schedule = ["--n_iters", str(iterations // 2), "--n_iters_decay", str(iterations - iterations // 2)]
        batch = int((re.findall(r"--batch_size[ =](\d+)", flags) or [1])[-1])
        apart = -(-iterations // CHECKPOINTS) * batch  # images between two checkpoints
        words = [*self.words(flags, seed), "--ema", "0.99", "--save_by_iter", "--save_latest_freq", str(apart)]
        spent = seconds_of([*words, *schedule])
        folder, condition = str(self.folder / "run"), {"target": self.target} if layout_of(flags) == "domains" else {}
        tags = {run_curve.images_seen(folder, tag): tag for tag in run_curve.tags_of(folder, "all")}
        curve = [{"images_seen": seen, "metrics": self.score_run(tag, True, condition)} for seen, tag in tags.items()]
        found = {"seed": seed, "seconds": spent, "iterations": iterations, "curve": curve}
        found |= {"last": self.score_run("latest", False, condition), "averaged": curve[-1]["metrics"]}
        return {**found, "best": best_of(curve, self.options.metrics[0])["metrics"]}

    def score_run(self, tag, averaged, condition):
        """Scores of a checkpoint of the run."""
        opt = options_of(self.folder / "run", tag, self.options.device)
        opt.use_ema = averaged
        model = quietly(create_model, opt)
        quietly(model.setup, opt)
        translate = Translator(model)
        return self.score(lambda path: translate(open_image(path), **condition))

    def score(self, answer):
        """Scores of a function from the file of an input to its translation."""
        names = self.options.metrics
        paired = any(METRICS[name].kind == PAIR for name in names)
        made = Images(self.inputs.files, answer, "translations")
        return values_of(quietly(evaluate, self.truth, made, names, self.settings, paired, self.inputs))

    def simple_answers(self):
        """Scores of the untranslated inputs, of the mean training image of the target domain, and of real images."""
        training = self.images(f"train{self.target}")
        mean = mean_image(map(open_image, training.files.values()), (self.options.size, self.options.size))
        mean = ((mean + 1) * 127.5).round().astype(np.uint8)
        found = {"no translation": self.score(open_image), "the mean": self.score(lambda path: mean)}
        of_sets = [name for name in self.options.metrics if METRICS[name].kind == SET or METRICS[name].judge]
        if of_sets:  # the test images of the target domain, against its training images
            found["real images"] = values_of(quietly(evaluate, training, self.truth, of_sets, self.settings))
        return found


def values_of(scores):
    return {name: each["value"] for name, each in scores["metrics"].items()}


def best_of(curve, metric):
    """The line of a curve with the best value of a metric; of equal values, the first."""
    best = curve[0]
    for line in curve[1:]:
        if better(metric, line["metrics"][metric], best["metrics"][metric]):
            best = line
    return best


def show(found, simple, metrics):
    """Print the table of all runs, and how often the best checkpoint was not the last."""
    first, *others = metrics
    lines = []
    for name, each in simple.items():
        cells = [f"{each[metric]:.4f}" if metric in each else "" for metric in metrics]
        lines.append([name, "", "", cells[0], "", "", *cells[1:]])
    for name, runs in found.items():
        cells = [spread([run[variant][first] for run in runs]) for variant in VARIANTS]
        cells += [f"{statistics.mean(run['averaged'][metric] for run in runs):.4f}" for metric in others]
        seconds = f"{statistics.mean(run['seconds'] for run in runs):.1f}"
        lines.append([name, seconds, str(runs[0]["iterations"]), *cells])
    table(["", "s", "iterations", *(f"{first}, {variant}" for variant in VARIANTS), *others], lines)
    print()
    runs = [(name, run, best_of(run["curve"], first), run["curve"][-1]) for name, each in found.items() for run in each]
    earlier = [each for each in runs if each[2] is not each[3]]
    for name, run, *chosen in earlier:
        values = [f"{first} {line['metrics'][first]:.4f} after {line['images_seen']} images" for line in chosen]
        print(f"{name}, seed {run['seed']}: best {values[0]}, last {values[1]}")
    print(f"the best checkpoint was not the last in {len(earlier)} of {len(runs)} runs")


def save(options, simple, found):
    """Write --json, so that a benchmark that is stopped keeps the runs that have ended."""
    if options.json:
        content = {"machine": machine(), "runs": options.runs, "seeds": options.seeds, "simple": simple, "found": found}
        with replacing(options.json) as file:
            file.write((json.dumps(content, indent=1) + "\n").encode())


def spread(values):
    low, high = min(values), max(values)
    return f"{statistics.mean(values):.4f} ({low:.4f}..{high:.4f})"


def read_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", action="append", metavar="NAME=FLAGS", help=f"repeat it (none: {', '.join(RUNS)})")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--seconds", type=float, default=12, help="processor seconds of the steps of each run")
    parser.add_argument("--base", default=SMALL, help="flags of all runs but StarGAN's")
    help = "folder of pairs (train, test), or of trainA, trainB, testA, testB (none: drawn shapes)"
    parser.add_argument("--dataroot", metavar="DIR", help=help)
    parser.add_argument("--direction", default="AtoB", choices=("AtoB", "BtoA"))
    help = "the first chooses the best checkpoint; the others are scores of the averaged weights (l1,ssim,edges)"
    parser.add_argument("--metrics", default="l1,ssim,edges", metavar="A,B", help=help)
    parser.add_argument("--size", type=int, default=32, help="height and width of all images")
    parser.add_argument("--train", type=int, help="training images of each domain (none: 200 drawn, all of --dataroot)")
    parser.add_argument("--test", type=int, help="test images (none: 20 drawn, all of --dataroot)")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", metavar="FILE", help="write all numbers there")
    options = parser.parse_args()
    if options.json and not Path(options.json).absolute().parent.is_dir():
        parser.error(f"--json {options.json}: its folder does not exist")
    options.metrics = parse(options.metrics, "--metrics")
    options.runs = dict(text.split("=", 1) for text in options.run) if options.run else RUNS
    return options


def check_layouts(options, data):
    """Remove the default runs that need pairs if the data has none; InputError if --run asks for such a run."""
    lacking = [name for name, flags in options.runs.items() if layout_of(flags) not in data]
    if lacking and options.run:
        raise InputError(f"--run {lacking[0]}: needs pairs, and --dataroot {options.dataroot} has no folder train")
    options.runs = {name: flags for name, flags in options.runs.items() if name not in lacking}


def main():
    options = read_options()
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(options, Path(folder))
        check_layouts(options, bench.data)
        simple = bench.simple_answers()
        iterations = {name: bench.iterations(flags) for name, flags in options.runs.items()}
        for seed in options.seeds:
            for name, flags in options.runs.items():
                found.setdefault(name, []).append(bench.run(flags, seed, iterations[name]))
                save(options, simple, found)
                last = found[name][-1]
                scores = ", ".join(f"{variant} {last[variant][options.metrics[0]]:.4f}" for variant in VARIANTS)
                print(f"seed {seed}  {name:18} {scores}  {last['seconds']:.1f} s", file=sys.stderr, flush=True)
    show(found, simple, options.metrics)


if __name__ == "__main__":
    with clear_errors():
        main()
