"""The curve of metrics over the checkpoints of a run, for ``scripts/evaluate.py --run``."""

import contextlib
import io
import os

from data import create_dataset
from models import create_model, prepare
from models.translator import Translator
from models.trial import measure, scoring_of
from options.test_options import TestOptions, phase_to_evaluate
from util.errors import InputError
from util.metrics.report import write_scores
from util.metrics.table import METRICS, better
from util.numerics.precision import backend_precision, backend_tuning
from util.run import folder as run_folder
from util.run.batch_slices import samples
from util.show.bar import Bar
from util.show.curve_svg import draw


def main(options):
    """Score the checkpoints, print a line for each, write JSON and SVG; return the exit code."""
    checkpoints_dir, name = os.path.split(os.path.abspath(options.run))
    trained = run_folder.read(checkpoints_dir, name)
    if trained is None:
        raise InputError(
            f"--run {options.run}: no trained run, it has no train_opt.json with the options of a training"
        )
    dataroot = options.dataroot or trained["dataroot"]
    words = ["--dataroot", dataroot, "--checkpoints_dir", checkpoints_dir, "--name", name, "--device", options.device]
    words += ["--phase", options.phase or phase_to_evaluate(dataroot), "--metrics", ",".join(options.metrics)]
    for flag in ("metric_weights", "judge"):
        words += [f"--{flag}", getattr(options, flag)] if getattr(options, flag) is not None else []
    wanted = tags_of(options.run, options.epochs)
    results, unread, scorer = {}, {}, Scorer(words, options)
    for tag in wanted:
        try:
            results[tag] = scorer.score(tag)
        except UnreadCheckpoint as error:
            unread[tag] = str(error)
            print(f"{tag:>12}  left out: {error}")
            continue
        values = {name: each["value"] for name, each in results[tag]["metrics"].items()}
        print(f"{tag:>12}  " + ", ".join(f"{name} {value:.5g}" for name, value in values.items()), flush=True)
    if not results:
        raise InputError(f"--run {options.run}: none of its checkpoints can be read: {next(iter(unread.values()))}")
    content = report(options.run, results, unread)
    write_scores(options.output, content)
    picture = os.path.splitext(options.output)[0] + ".svg"
    draw(picture, name, list(results), content["best"], results)
    for metric, found in content["best"].items():
        print(f"best {metric}: {found['value']:.5g} at epoch {found['epoch']}")
    skipped = next(iter(results.values()))["skipped"]
    for metric, reason in skipped.items():
        print(f"{metric}: skipped, {reason}")
    print(f"{options.output}, {picture}")
    return 1 if skipped or unread else 0


class UnreadCheckpoint(Exception):
    """A checkpoint whose weights are missing or damaged."""


class Scorer:
    """Scores one checkpoint after another, with one dataset and one set of features of the real images."""

    def __init__(self, words, options):
        self.words, self.options = words, options
        self.dataset = self.scoring = None

    def score(self, tag):
        with contextlib.redirect_stdout(io.StringIO()):  # the lines that test.py prints
            chosen = ["--load_iter", tag.removeprefix("iter_")] if tag.startswith("iter_") else ["--epoch", tag]
            opt = TestOptions([*self.words, *chosen]).parse()
            self.dataset = self.dataset or create_dataset(opt)
            model = create_model(opt)
            try:
                prepare(model, self.dataset, opt)
            except InputError as error:
                raise UnreadCheckpoint(error) from error
            if self.scoring is None:
                self.scoring = scoring_of(model, self.dataset, opt.metrics)
            settings = {"seed": self.options.seed, "resamples": self.options.resamples}
            self.scoring.settings = self.scoring.settings._replace(**settings)
        most = self.options.max_images
        images = samples(self.dataset, most, one_by_one=True)
        with backend_precision(opt.precision), backend_tuning(opt):
            counted = Bar(min(most, len(self.dataset)), "images", tag).over(images)
            measure(Translator(model), counted, self.scoring)
        return self.scoring.scores()


def tags_of(run, wanted):
    """The checkpoints to score, in the order of training."""
    found = {run_folder.split_name(os.path.basename(path)) for path in run_folder.checkpoints(run)}
    seen = {tag: images_seen(run, tag) for tag, kind, _ in found if kind == "net"}
    ordered = sorted(seen, key=lambda tag: (seen[tag], not tag.isdigit(), int(tag) if tag.isdigit() else 0, tag))
    if wanted == "all":
        # latest and best are usually copies of an epoch; they are scored if no epoch has their number of images.
        copies = [tag for tag in ordered if tag in ("latest", "best")]
        positions = {seen[tag] for tag in ordered if tag not in copies}
        for tag in copies:
            if seen[tag] in positions:
                ordered.remove(tag)
            elif seen[tag] >= 0:
                positions.add(seen[tag])
        tags = ordered
    else:
        tags = list(dict.fromkeys(tag for tag in wanted.split(",") if tag))
    for tag in tags:
        if tag not in seen:
            raise InputError(f"--epochs {tag}: {run} has no such checkpoint; there are {', '.join(ordered) or 'none'}")
    if not tags:
        raise InputError(f"--run {run}: no checkpoints in it")
    return tags


def images_seen(run, tag):
    """Images seen when a checkpoint was saved; -1 if it has no manifest."""
    return (run_folder.read_manifest(run, tag) or {}).get("total_iters", -1)


def report(run, results, unread):
    """{"epochs": tag -> images seen and scores, "best": metric -> epoch and value, "skipped": tag -> reason}."""
    best = {}
    for tag, scores in results.items():
        for name, metric in scores["metrics"].items():
            if name in METRICS and better(name, metric["value"], best.get(name, {}).get("value")):
                best[name] = {"epoch": tag, "value": metric["value"]}
    epochs = {tag: {"images_seen": images_seen(run, tag), **scores} for tag, scores in results.items()}
    return {"run": os.path.basename(os.path.abspath(run)), "epochs": epochs, "best": best, "skipped": unread}
