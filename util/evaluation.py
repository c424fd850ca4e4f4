"""Score a folder of generated images against a folder of real images: the metrics of util/metrics, by name.

The caller finds the images and opens them (the formats of the data sets are not known here):

    scores = evaluate(Images(real_paths, open_image), Images(fake_paths, open_image), ["psnr", "fid"], settings, True)
"""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch

from util.errors import InputError, nearest
from util.metrics import distributions, intervals, judge, pairs, segmentation
from util.metrics.provenance import Unavailable

PAIRS = {"l1": pairs.l1, "psnr": pairs.psnr, "ssim": pairs.ssim, "ms_ssim": pairs.ms_ssim, "lpips": pairs.lpips}
CONTENT = {"edges": pairs.edges}
DISTRIBUTIONS = ("fid", "kid")
JUDGED = ("judge", "judge_kid")
NAMES = (*PAIRS, *CONTENT, *DISTRIBUTIONS, *segmentation.NAMES, *JUDGED)


class Settings(NamedTuple):
    """What the metrics may need. `judge` is a file of scripts/train_judge.py; `resamples` are the bootstrap's."""

    metric_weights: str | None = None
    judge: str | None = None
    device: torch.device = torch.device("cpu")
    batch_size: int = 16
    seed: int = 0
    resamples: int = 1000
    ignored: int = segmentation.IGNORED


class Images:
    """The images of a folder: name (path below the folder without its ending) -> file, in the order of the names."""

    def __init__(self, files: dict[str, str], opener: Callable, title: str):
        if not files:
            raise InputError(f"{title}: no images in it")
        self.files, self.opener, self.title = dict(sorted(files.items())), opener, title

    def __len__(self):
        return len(self.files)

    def array(self, name: str) -> np.ndarray:
        """The image as an 8-bit RGB array (H, W, 3)."""
        return np.asarray(self.opener(self.files[name]))

    def labels(self, name: str) -> np.ndarray:
        return segmentation.read_labels(self.files[name])

    def arrays(self) -> Iterator[np.ndarray]:
        return map(self.array, self.files)


def check_names(names: list[str], paired: bool, has_input: bool, has_judge: bool) -> None:
    """Raises InputError for a metric that does not exist or that lacks a flag."""
    for name in names:
        if name not in NAMES:
            raise InputError(f"--metrics {name}: no such metric;{nearest(name, NAMES)} choose from {', '.join(NAMES)}")
        if (name in PAIRS or name in segmentation.NAMES) and not paired:
            raise InputError(f"--metrics {name}: it compares pairs of images of the same name; add --paired")
        if name in CONTENT and not (paired or has_input):
            raise InputError(f"--metrics {name}: it compares translations with their inputs; give --input DIR")
        if name in JUDGED and not has_judge:
            raise InputError(f"--metrics {name}: it needs --judge FILE, a file of scripts/train_judge.py")


def check_pairs(first: Images, second: Images) -> None:
    """Raises InputError that names the first images without a partner on each side."""
    lacking = []
    for here, there in ((first, second), (second, first)):
        missing = [name for name in there.files if name not in here.files]
        if missing:
            shown = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
            lacking.append(f"{here.title} lacks {shown}")
    if lacking:
        raise InputError(f"the names of the pairs differ: {'; '.join(lacking)}")


def evaluate(real: Images, fake: Images, names: list[str], settings: Settings, paired=False, inputs=None) -> dict:
    """{"metrics": name -> value, interval, provenance; "images": image -> name -> value; "skipped": name -> reason}.

    `inputs` are the images that `fake` are translations of, for "edges"; without them `real` takes their place.
    """
    check_names(names, paired, inputs is not None, settings.judge is not None)
    for other in ([real] if paired else []) + ([inputs] if inputs is not None else []):
        check_pairs(other, fake)
    result: dict[str, dict] = {"metrics": {}, "images": {}, "skipped": {}}
    _score_pairs(real, fake, [(name, PAIRS[name]) for name in names if name in PAIRS], settings, result)
    edges = [(name, CONTENT[name]) for name in names if name in CONTENT]
    _score_pairs(real if inputs is None else inputs, fake, edges, settings, result)
    _score_labels(real, fake, [name for name in names if name in segmentation.NAMES], settings, result)
    distances = [name for name in names if name in DISTRIBUTIONS]
    _score_sets(real, fake, distances, settings, result, distributions.inception)
    _score_judge(real, fake, [name for name in names if name in JUDGED], settings, result)
    result["metrics"] = {name: result["metrics"][name] for name in names if name in result["metrics"]}
    return result


def _same_size(real, fake, name, real_array, fake_array):
    if real_array.shape[:2] != fake_array.shape[:2]:
        sizes = ["{1}x{0}".format(*array.shape) for array in (fake_array, real_array)]
        raise InputError(f"pair '{name}': {fake.title} has {sizes[0]} pixels, {real.title} has {sizes[1]}")


def _score_pairs(real, fake, wanted, settings, result):
    """Every pair is read once; a metric that can't score a pair is skipped as a whole."""
    ready = {}
    for name, make in wanted:
        try:
            ready[name] = make(settings)
        except Unavailable as error:
            result["skipped"][name] = str(error)
    values = {name: {} for name in ready}
    for image in fake.files if ready else ():
        arrays = fake.array(image), real.array(image)
        _same_size(real, fake, image, arrays[1], arrays[0])
        for name in list(values):
            try:
                values[name][image] = ready[name].measure(*arrays)
            except Unavailable as error:
                result["skipped"][name] = f"{error} ('{image}')"
                del values[name]
    for name, each in values.items():
        _add_mean(result, name, each, ready[name].provenance, settings)


def _add_mean(result, name, each, provenance, settings):
    """A metric that is the mean of a value per image."""
    scores = list(each.values())
    interval = intervals.of_mean(scores, settings.resamples, settings.seed)
    provenance |= {"samples": len(scores), "seed": settings.seed, "resamples": settings.resamples}
    result["metrics"][name] = {"value": math.fsum(scores) / len(scores), "interval": interval, "provenance": provenance}
    for image, value in each.items():
        result["images"].setdefault(image, {})[name] = value


def _score_labels(real, fake, names, settings, result):
    if not names:
        return
    counts = []
    for image in fake.files:
        arrays = fake.labels(image), real.labels(image)
        _same_size(real, fake, image, arrays[1], arrays[0])
        counts.append(segmentation.tally(*arrays, settings.ignored))
        own = segmentation.scores(counts[-1])
        result["images"].setdefault(image, {}).update({name: own[name] for name in names})
    result["metrics"] |= segmentation.compare(counts, names, settings.resamples, settings.seed, settings.ignored)


def _score_sets(real, fake, names, settings, result, make_network):
    """Each folder goes through the network once, for all distances."""
    if not names:
        return
    try:
        network, record = make_network(settings)
    except Unavailable as error:
        result["skipped"] |= dict.fromkeys(names, str(error))
        return
    found = [
        distributions.features(each.arrays(), network, settings.batch_size, settings.device) for each in (real, fake)
    ]
    for name in names:
        try:
            kind = name.removeprefix("judge_")
            result["metrics"][name] = distributions.compare(kind, *found, settings.resamples, settings.seed, record)
        except Unavailable as error:
            result["skipped"][name] = str(error)


def _score_judge(real, fake, names, settings, result):
    if not names:
        return
    network, record = judge.load(settings.judge, settings.device)
    if "judge" in names:
        answers = distributions.features(fake.arrays(), network.is_target, settings.batch_size, settings.device)
        _add_mean(result, "judge", dict(zip(fake.files, map(float, answers), strict=True)), dict(record), settings)
    kids = [name for name in names if name == "judge_kid"]
    _score_sets(real, fake, kids, settings, result, lambda _: (network.features, record))
