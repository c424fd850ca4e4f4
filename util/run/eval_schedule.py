"""--eval_freq: when the model in training is evaluated, and what follows: curves, the best checkpoint, the rate."""

from __future__ import annotations

from typing import Any

from util.metrics import table


class Evaluations:
    """``when_due()`` after each step evaluates every --eval_freq images; its state belongs to the checkpoint.

    Scores go to <run>/metrics.jsonl and to the dashboards. The checkpoint ``best`` is saved whenever --best_metric
    has its best value so far. --lr_policy plateau gets the newest value of an epoch; an epoch without an evaluation
    does not count for it.
    """

    def __init__(self, opt, model, progress, trial) -> None:
        """`trial` is that of models/trial.py."""
        self.opt, self.model, self.progress, self.trial = opt, model, progress, trial
        self.checkpoint: Any = None
        self.visualizer: Any = None
        self.best: float | None = None
        self.followed = table.followed(opt) if opt.lr_policy == "plateau" else None
        self._epoch = 0  # of the newest value that the learning rate gets
        if self.followed:
            model.metric = None
        self._said = set(trial.skipped)  # skipped metrics whose reason was printed

    def to_save(self) -> dict:
        """What the checkpoint of the run keeps."""
        return {"evaluations": self}

    def begin(self, checkpoint: Any, visualizer: Any) -> None:
        """When the run is resumed: where best checkpoints are saved, and what shows the scores."""
        self.checkpoint, self.visualizer = checkpoint, visualizer

    def when_due(self) -> None:
        """Collective."""
        if self.followed and self._epoch != self.progress.epoch:
            self.model.metric = None
        if self.progress.every(self.opt.eval_freq):
            with self.progress.not_timed():
                self._evaluate()

    def _evaluate(self):
        epoch, images = self.progress.epoch, self.progress.total_iters
        scores = self.trial.scores()
        values = {name: metric["value"] for name, metric in scores["metrics"].items()}
        name = self.opt.best_metric
        is_best = name in values and table.better(name, values[name], self.best)
        self.visualizer.report_metrics(epoch, self.progress.fraction(), images, scores)
        for each, reason in scores["skipped"].items():
            if each not in self._said:
                self._said.add(each)
                self.visualizer.say(f"--eval_metrics {each}: skipped, {reason}")
        if self.followed in values:
            self.model.metric, self._epoch = values[self.followed], epoch
        if is_best:
            self.best = values[name]
            self.visualizer.say(f"best {name} so far: {self.best:.5g}; saving the checkpoint best")
            self.checkpoint.save("best")

    def state_dict(self) -> dict[str, Any]:
        metric = self.model.metric if self.followed else None
        return {"best": self.best, "best_metric": self.opt.best_metric, "metric": metric, "epoch": self._epoch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """A best value of another metric than --best_metric does not count."""
        self.best = state["best"] if state["best_metric"] == self.opt.best_metric else None
        if self.followed:
            self.model.metric, self._epoch = state["metric"], state["epoch"]


class NoEvaluations:
    """In place of Evaluations without --eval_metrics."""

    def to_save(self) -> dict:
        return {}

    def begin(self, checkpoint: Any, visualizer: Any) -> None:
        pass

    def when_due(self) -> None:
        pass
