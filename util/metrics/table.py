"""The table of metrics: what each compares, and whether a larger value is better. This file does not import torch."""

from argparse import Namespace
from collections.abc import Iterable
from typing import NamedTuple

from util.errors import InputError, nearest

PAIR, CONTENT, SET, LABELS, JUDGE = "pair", "content", "set", "labels", "judge"


class Metric(NamedTuple):
    """`kind`: PAIR compares a translation with its truth, CONTENT with its input, SET all translations with all real
    images; LABELS compares label images; JUDGE classifies each translation."""

    kind: str
    higher: bool  # whether a larger value is better
    judge: bool = False  # whether the metric needs a file of scripts/train_judge.py


METRICS = {
    "l1": Metric(PAIR, higher=False),
    "psnr": Metric(PAIR, higher=True),
    "ssim": Metric(PAIR, higher=True),
    "ms_ssim": Metric(PAIR, higher=True),
    "lpips": Metric(PAIR, higher=False),
    "edges": Metric(CONTENT, higher=True),
    "fid": Metric(SET, higher=False),
    "kid": Metric(SET, higher=False),
    "pixel_accuracy": Metric(LABELS, higher=True),
    "class_accuracy": Metric(LABELS, higher=True),
    "mean_iou": Metric(LABELS, higher=True),
    "judge": Metric(JUDGE, higher=True, judge=True),
    "judge_kid": Metric(SET, higher=False, judge=True),
}
OF_PHOTOS = tuple(name for name, metric in METRICS.items() if metric.kind != LABELS)


def parse(text: str, flag: str, allowed: Iterable[str] = tuple(METRICS)) -> list[str]:
    """The names in a text such as "l1,psnr", each once. Raises InputError that names the flag."""
    allowed = list(allowed)
    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not names:
        raise InputError(f"{flag}: give names joined by commas, of {', '.join(allowed)}")
    for name in names:
        if name in METRICS and name not in allowed:
            raise InputError(f"{flag} {name}: it compares label images; use scripts/evaluate.py for them")
        if name not in allowed:
            raise InputError(f"{flag} {name}: no such metric;{nearest(name, allowed)} choose from {', '.join(allowed)}")
    return names


def need_judge(names: Iterable[str], judge: str | None, flag: str) -> None:
    """Raises InputError for a metric that needs --judge, if the flag is not given."""
    for name in names:
        if METRICS[name].judge and judge is None:
            raise InputError(f"{flag} {name}: it needs --judge FILE, made by scripts/train_judge.py")


def better(name: str, value: float, other: float | None) -> bool:
    """Whether a value of a metric is better than another. Every number is better than None and than NaN."""
    if value != value:
        return False
    if other is None or other != other:
        return True
    return value > other if METRICS[name].higher else value < other


def followed(opt: Namespace) -> str:
    """The metric that --lr_policy plateau follows: --best_metric, or else the first of --eval_metrics."""
    return opt.best_metric or parse(opt.eval_metrics, "--eval_metrics", OF_PHOTOS)[0]
