"""Evaluation of a model during training (--eval_metrics), with the results that test.py would give.

A second model is built with the options of a test, and gets the weights of the model in training before each
evaluation. So the evaluation changes neither mode, running statistics, batch nor random numbers of the training.
"""

from __future__ import annotations

import contextlib
import io
from argparse import Namespace
from collections.abc import Callable, Iterable
from typing import Any

import models
from models.translator import Translator
from util.errors import InputError
from util.metrics import meter, table
from util.numerics import seeding
from util.numerics.precision import backend_precision, backend_tuning
from util.processes import distributed
from util.run.batch_slices import batch_size, own_samples
from util.run.scoring import Scoring
from util.show.results import pictures_of

TRIED = 3  # images that are scored before training starts


class Trial:
    """`model` in training, tested on the images of `dataset` with the options `opt` of a test."""

    def __init__(self, model: Any, opt: Namespace, dataset: Any, metrics: str, most: float) -> None:
        self.model, self.opt, self.dataset = model, opt, dataset
        self.most = min(most, len(dataset))
        with contextlib.redirect_stdout(io.StringIO()):  # the lines that test.py prints
            self.tested = models.find_model_using_name(opt.model)(opt)
            self.tested.load_networks = lambda epoch: self.tested.take_weights(model)
            models.prepare(self.tested, dataset, opt)
        if opt.eval:
            self.tested.eval()
        self.translator = Translator(self.tested)
        self.scoring: Scoring = distributed.run_on_all_ranks(
            lambda: scoring_of(self.tested, dataset, metrics, "--eval_metrics", with_endings=True)
        )

    @property
    def skipped(self) -> dict[str, str]:
        """The metrics that can't be computed, and why."""
        return self.scoring.meter.skipped

    def scores(self) -> dict:
        """The scores of the current weights, as util.metrics.meter.combine() returns them. Collective: each rank
        scores its share of the images."""
        with seeding.restored(), backend_precision(self.opt.precision), backend_tuning(self.opt):
            measured = distributed.run_on_all_ranks(lambda: self._measure(self.most))
        parts = distributed.gather_on_rank0(measured)
        scoring = self.scoring
        return distributed.on_rank0(lambda: meter.combine(scoring.names, meter.merged(parts), scoring.settings))

    def try_out(self) -> None:
        """Score the first images, so that an error in scoring ends the run before training starts. Collective."""
        with seeding.restored():
            measured = distributed.run_on_all_ranks(lambda: self._measure(min(self.most, TRIED)))
        for skipped in distributed.gather(measured["skipped"]):
            self.skipped.update(skipped)

    def _measure(self, most):
        """Measure this rank's share of the first images."""
        self.tested.take_weights(self.model)
        measure(self.translator, own_samples(self.dataset, most), self.scoring)
        return self.scoring.take()


def measure(translator: Translator, batches: Iterable[dict], scoring: Scoring) -> None:
    """Translate batches of a data set and measure the translations as test.py writes them, with 8 bits."""
    for batch in batches:
        visuals, paths = translator.run_batch(batch)
        scoring.add(list(pictures_of(visuals))[: batch_size(batch)], paths, batch)


def trial_of(model: Any, opt: Namespace, test_options: Callable, create_dataset: Callable) -> Trial | None:
    """The Trial for --eval_metrics, None without the flag. InputError if a metric can't be computed. Collective."""
    if opt.eval_metrics is None:
        return None
    test_opt = distributed.run_on_all_ranks(lambda: test_options(opt))
    with seeding.restored():
        with contextlib.redirect_stdout(io.StringIO()):
            dataset = create_dataset(test_opt)
        trial = Trial(model, test_opt, dataset, opt.eval_metrics, opt.eval_max_images)
    trial.try_out()
    names, skipped = trial.scoring.names, trial.skipped
    print(f"evaluation every {opt.eval_freq} images on {trial.most} images of {test_opt.phase}: {', '.join(names)}")
    for name, reason in skipped.items():
        print(f"--eval_metrics {name}: skipped, {reason}")
    needed = {opt.best_metric} | ({table.followed(opt)} if opt.lr_policy == "plateau" else set())
    for name in names:
        if name in skipped and (name in needed or len(skipped) == len(names)):
            raise distributed.raised_once(InputError(f"--eval_metrics {name}: {skipped[name]}"))
    return trial


def scoring_of(
    model: Any, dataset: Any, metrics: str | None, flag: str = "--metrics", with_endings: bool = False
) -> Scoring:
    """The Scoring of a model's translations of a data set; `metrics` are names with commas between them.

    It scores the first of the model's scored_visuals; in a test against the direction of the training
    (opt.test_direction), the second.
    """
    opt = model.opt
    names = table.parse(metrics, flag, table.OF_PHOTOS) if metrics is not None else []
    scored = list(model._translation_pairs().items())
    against = len(scored) > 1 and getattr(opt, "test_direction", None) not in (None, opt.direction)
    if names and not scored:
        raise InputError(f"{flag}: --model {opt.model} declares no scored_visuals, which name the images to score")
    settings = meter.Settings(metric_weights=opt.metric_weights, judge=opt.judge, device=opt.device)
    return Scoring(names, settings, scored[against] if scored else None, dataset.roots(), flag, with_endings)
