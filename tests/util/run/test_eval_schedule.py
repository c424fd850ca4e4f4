"""After an evaluation: the best checkpoint, and the metric for --lr_policy plateau."""

from types import SimpleNamespace

import pytest
import torch

from models.schedules import get_scheduler
from options.train_options import plateau_mode
from util.metrics.table import better
from util.run.eval_schedule import Evaluations
from util.run.progress import Progress


class Run:
    """Evaluations with given scores, and objects that record their calls."""

    def __init__(self, values, metric="ssim", policy="plateau", freq=2):
        names = {"eval_freq": freq, "eval_metrics": f"l1,{metric}", "best_metric": metric, "lr_policy": policy}
        self.opt = SimpleNamespace(**names, epoch_count=1, n_epochs=9, n_epochs_decay=0, seed=0, batch_size=1)
        self.progress, self.model = Progress(self.opt, 4), SimpleNamespace(metric=0)
        self.saved, self.said = [], []
        values = iter(values)
        trial = SimpleNamespace(
            skipped={}, scores=lambda: {"metrics": {metric: {"value": next(values)}}, "skipped": {}}
        )
        self.evaluations = Evaluations(self.opt, self.model, self.progress, trial)
        visualizer = SimpleNamespace(write=self.said.append, report_metrics=lambda *_: None)
        checkpoint = SimpleNamespace(save=lambda tag: self.saved.append((tag, self.progress.total_iters)))
        self.evaluations.begin(checkpoint, visualizer)

    def step(self, epoch):
        self.progress.epoch = epoch
        self.progress._count(1, 1)
        self.evaluations.when_due()


def test_the_best_is_saved_in_the_direction_of_the_metric():
    for metric, values, kept in (("ssim", [0.2, 0.1, 0.3], [2, 6]), ("kid", [0.2, 0.1, 0.3], [2, 4])):
        run = Run(values, metric)
        for _ in range(6):
            run.step(1)
        assert run.saved == [("best", images) for images in kept]


def test_nan_is_never_the_best_value():
    nan = float("nan")
    assert not better("psnr", nan, None) and better("psnr", 1.0, nan) and not better("l1", 1.0, 1.0)


def test_plateau_uses_evaluations_of_the_current_epoch_only():
    run = Run([0.2, 0.4], freq=3)
    assert run.model.metric is None
    run.step(1)
    assert run.model.metric is None
    run.step(1)
    run.step(1)
    assert run.model.metric == 0.2
    run.step(2)
    assert run.model.metric is None


def test_a_resumed_run_restores_the_best_value_and_the_metric_of_the_epoch():
    first = Run([0.5])
    first.step(1)
    first.step(1)
    second = Run([0.4])
    second.progress.load_state_dict(first.progress.state_dict())
    second.evaluations.load_state_dict(first.evaluations.state_dict())
    assert second.model.metric == 0.5
    second.step(1)
    assert second.model.metric == 0.5
    second.step(1)
    assert (second.model.metric, second.saved) == (0.4, [])
    other = Run([0.4], "psnr")
    other.evaluations.load_state_dict(first.evaluations.state_dict())
    assert other.evaluations.best is None  # of another metric


@pytest.mark.parametrize(("metric", "better_value", "worse"), [("psnr", 21.0, 19.0), ("l1", 0.1, 0.3)])
def test_plateau_uses_the_direction_of_the_metric(metric, better_value, worse):
    opt = SimpleNamespace(lr_policy="plateau", best_metric=metric, eval_metrics=metric)
    opt.plateau_mode = plateau_mode(opt)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = get_scheduler(optimizer, opt)
    for value in [20.0 if metric == "psnr" else 0.2, *[worse] * 5, better_value, *[worse] * 6]:
        scheduler.step(value)
        rate = optimizer.param_groups[0]["lr"]
        assert rate == 1.0 or value == worse
    assert rate == pytest.approx(0.2)
