"""--eval_freq: evaluate the model in training, report scores, keep the best checkpoint, feed --lr_policy plateau."""

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
        """`trial` computes the scores (models/trial.py)."""
        self.opt, self.model, self.progress, self.trial = opt, model, progress, trial
        self.checkpoint: Any = None
        self.visualizer: Any = None
        self.best: float | None = None
        self.followed = table.followed(opt) if opt.lr_policy == "plateau" else None
        self._epoch = 0  # epoch of the newest value of `followed`
        if self.followed:
            model.metric = None
        self._reported = set(trial.skipped)  # skipped metrics whose reason was printed

    def to_save(self) -> dict:
        """The objects that the checkpoint of the run must save, by name."""
        return {"evaluations": self}

    def begin(self, checkpoint: Any, visualizer: Any) -> None:
        """After the run is resumed: `checkpoint` saves the best model, `visualizer` shows the scores."""
        self.checkpoint, self.visualizer = checkpoint, visualizer

    def when_due(self) -> None:
        """Evaluate the model if --eval_freq asks for it in this step. Collective."""
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
            if each not in self._reported:
                self._reported.add(each)
                self.visualizer.write(f"--eval_metrics {each}: skipped, {reason}")
        if self.followed in values:
            self.model.metric, self._epoch = values[self.followed], epoch
        if is_best:
            self.best = values[name]
            self.visualizer.write(f"best {name} so far: {self.best:.5g}; saving the checkpoint 'best'")
            self.checkpoint.save("best")

    def state_dict(self) -> dict[str, Any]:
        metric = self.model.metric if self.followed else None
        return {"best": self.best, "best_metric": self.opt.best_metric, "metric": metric, "epoch": self._epoch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The best value of another metric than --best_metric is ignored."""
        self.best = state["best"] if state["best_metric"] == self.opt.best_metric else None
        if self.followed:
            self.model.metric, self._epoch = state["metric"], state["epoch"]


class NoEvaluations:
    """Replaces Evaluations without --eval_metrics."""

    def to_save(self) -> dict:
        return {}

    def begin(self, checkpoint: Any, visualizer: Any) -> None:
        pass

    def when_due(self) -> None:
        pass
