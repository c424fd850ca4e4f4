"""Errors of the models after the same processor time, with different settings, on data with known true translations.

    python benchmarks/quality.py --seconds 12         # all models; averaged weights; bf16; DiffAugment on 50 images
    python benchmarks/quality.py --run "plain=--economies no" --run "half=--precision bf16" --seconds 60
    python benchmarks/quality.py --dataroot ./datasets/facades --run "pix2pix=--model pix2pix --direction BtoA" \\
        --base "--load_size 64 --crop_size 64" --seconds 600

Without --dataroot it draws shapes: the same scenes unpaired and as pairs, whose true translations are known. A short
training of each kind measures how many iterations fit into --seconds; then all runs are trained with the first seed,
then all with the next. Each run is evaluated six times on the test images. The last weights, the averaged weights
(--ema) and the best checkpoint are scored. Errors are l1 in [0, 1].
"""

import argparse
import contextlib
import io
import json
import shlex
import statistics
import sys
import tempfile
import time
from pathlib import Path

from harness import machine, table

import train
from data.image_folder import make_dataset
from data.pictures import open_image
from datasets import make_shapes
from scripts import run_curve
from util.evaluation import Images, Settings, evaluate
from util.files import replacing
from util.metrics.pixels import mean_image

SMALL = "--netG resnet_6blocks --ngf 8 --ndf 8 --norm instance --no_dropout --load_size {size} --crop_size {size}"
RUNS = {
    **{name: f"--model {name}" for name in ("pix2pix", "cycle_gan", "cut", "fastcut", "dclgan", "simdcl")},
    "cycle_gan, bf16": "--model cycle_gan --precision bf16",
}
DIFFAUGMENT = " --diffaugment color,translation,cutout"
for name, flags in (("pix2pix, 50 pairs", "--model pix2pix"), ("cycle_gan, 50 images", "--model cycle_gan")):
    RUNS[name] = f"{flags} --max_dataset_size 50"
    RUNS[f"{name}, DiffAugment"] = RUNS[name] + DIFFAUGMENT
PAIRED = ("pix2pix",)
EVALUATIONS = 6
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


class Bench:
    """The datasets, the flags of all runs, and the folder of the runs."""

    def __init__(self, options, folder):
        self.options, self.folder = options, folder
        self.base = shlex.split(options.base.format(size=options.size)) + shlex.split(FIXED) + options.device
        self.most = options.test
        if options.dataroot is not None:
            self.data = {"unpaired": options.dataroot, "paired": options.dataroot}
            return
        self.data = {}
        for kind in ("unpaired", "paired"):
            self.data[kind] = str(folder / kind)
            make_shapes.make(self.data[kind], kind, options.size, options.train, options.test)

    def words(self, flags, seed, name="run"):
        kind = "paired" if any(f"--model {model}" in flags for model in PAIRED) else "unpaired"
        where = ["--dataroot", self.data[kind], "--checkpoints_dir", str(self.folder), "--name", name]
        return [*where, *self.base, *shlex.split(flags), "--seed", str(seed)]

    def iterations(self, flags):
        """Iterations that fit into --seconds, from the difference of two short trainings."""
        few, more = 4, 64 if self.options.seconds >= 10 else 16
        spent = [seconds_of([*self.words(flags, 0, "short"), "--n_iters", str(count)]) for count in (few, few, more)]
        return max(EVALUATIONS, round(self.options.seconds * (more - few) / max(1e-3, spent[2] - spent[1])))

    def run(self, flags, seed, iterations):
        """Train once: scores of each variant, processor seconds, and the curve of the averaged weights."""
        schedule = ["--n_iters", str(iterations // 2), "--n_iters_decay", str(iterations - iterations // 2)]
        scored = ["--eval_freq", str(max(1, iterations // EVALUATIONS)), "--eval_metrics", "l1", "--best_metric", "l1"]
        scored += ["--ema", "0.99", "--eval_max_images", str(self.most)]
        words = self.words(flags, seed)
        spent = seconds_of([*words, *schedule, *scored])
        curve = (self.folder / "run/metrics.jsonl").read_text().splitlines()
        found = {"seed": seed, "seconds": spent, "curve": [json.loads(line) for line in curve]}
        found["iterations"] = iterations
        for variant, (tag, averaged) in {
            "last": ("latest", "no"),
            "averaged": ("latest", "yes"),
            "best": ("best", "yes"),
        }.items():
            settings = argparse.Namespace(seed=0, resamples=0, max_images=self.most)
            asked = ["--metrics", "l1,ssim,edges", "--use_ema", averaged, *self.options.device]
            scorer = run_curve.Scorer([*words[:6], "--phase", "test", *asked], settings)
            found[variant] = {name: each["value"] for name, each in scorer.score(tag)["metrics"].items()}
        return found

    def simple_answers(self):
        """l1 of the untranslated inputs, and of the mean training image of the target domain."""
        folder = Path(self.data["unpaired"])
        if not (folder / "testB").is_dir():
            return {}
        truth, inputs = ({Path(path).stem: path for path in make_dataset(str(folder / f"test{s}"))} for s in "BA")
        real = Images(truth, open_image, "testB")
        mean = mean_image(
            map(open_image, make_dataset(str(folder / "trainB"))), open_image(next(iter(truth.values()))).size
        )
        mean = ((mean + 1) * 127.5).round().astype("uint8")
        answers = {
            "no translation": Images(inputs, open_image, "testA"),
            "the mean": Images(truth, lambda _: mean, "mean"),
        }
        names, settings = ["l1", "ssim", "edges"], Settings(resamples=0)
        sources = Images(inputs, open_image, "testA")
        scores = {name: evaluate(real, each, names, settings, True, sources) for name, each in answers.items()}
        return {name: {m: v["value"] for m, v in each["metrics"].items()} for name, each in scores.items()}


def show(found, simple):
    """Print the table of all runs, and how often the best checkpoint was not the last."""
    lines = []
    for name, each in simple.items():
        lines.append([name, "", "", f"{each['l1']:.4f}", "", "", f"{each['ssim']:.3f}", f"{each['edges']:.3f}"])
    for name, runs in found.items():
        cells = [spread([run[variant]["l1"] for run in runs]) for variant in VARIANTS]
        others = [f"{statistics.mean(run['averaged'][metric] for run in runs):.3f}" for metric in ("ssim", "edges")]
        seconds = f"{statistics.mean(run['seconds'] for run in runs):.1f}"
        lines.append([name, seconds, str(runs[0]["iterations"]), *cells, *others])
    table(["", "s", "iterations", "l1, last", "l1, averaged", "l1, best", "ssim", "edges"], lines)
    print()
    runs = [(name, run, *best_and_last(run)) for name, each in found.items() for run in each]
    earlier = [(name, run, best, last) for name, run, best, last in runs if best is not last]
    for name, run, best, last in earlier:
        values = [f"l1 {line['metrics']['l1']:.4f} after {line['images_seen']} images" for line in (best, last)]
        print(f"{name}, seed {run['seed']}: best {values[0]}, last {values[1]}")
    print(f"the best evaluation was not the last in {len(earlier)} of {len(runs)} runs")


def best_and_last(run):
    """Of the evaluations of a run, lines of its metrics.jsonl."""
    return min(run["curve"], key=lambda line: line["metrics"]["l1"]), run["curve"][-1]


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
    parser.add_argument("--base", default=SMALL, help="flags of all runs")
    parser.add_argument("--dataroot", help="data with a known truth (none: drawn shapes)")
    parser.add_argument("--size", type=int, default=32, help="of drawn shapes")
    parser.add_argument("--train", type=int, default=200, help="drawn training images of each domain")
    parser.add_argument("--test", type=int, default=20, help="test images that are scored")
    parser.add_argument("--device", default=["--device", "cpu"], type=lambda word: ["--device", word])
    parser.add_argument("--json", metavar="FILE", help="write all numbers there")
    options = parser.parse_args()
    if options.json and not Path(options.json).absolute().parent.is_dir():
        parser.error(f"--json {options.json}: its folder does not exist")
    options.runs = dict(text.split("=", 1) for text in options.run) if options.run else RUNS
    return options


def main():
    options = read_options()
    found = {name: [] for name in options.runs}
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(options, Path(folder))
        iterations = {name: bench.iterations(flags) for name, flags in options.runs.items()}
        simple = bench.simple_answers()
        for seed in options.seeds:
            for name, flags in options.runs.items():
                found[name].append(bench.run(flags, seed, iterations[name]))
                save(options, simple, found)
                last = found[name][-1]
                errors = ", ".join(f"{variant} {last[variant]['l1']:.4f}" for variant in VARIANTS)
                print(f"seed {seed}  {name:18} {errors}  {last['seconds']:.1f} s", file=sys.stderr, flush=True)
    show(found, simple)


if __name__ == "__main__":
    main()
