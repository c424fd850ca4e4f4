"""Score a folder of generated images against a folder of real images: the metrics of util/metrics, by name.

The caller finds the files and gives a function that opens them, because data/ defines the image formats:

    scores = evaluate(Images(real_paths, open_image), Images(fake_paths, open_image), ["psnr", "fid"], settings, True)
"""

from collections.abc import Callable

import numpy as np

from util.errors import InputError, some_of
from util.metrics import meter, segmentation
from util.metrics.meter import Meter, Sample, Settings
from util.metrics.table import CONTENT, LABELS, METRICS, PAIR, SET, need_judge
from util.show.bar import Bar

__all__ = ["NAMES", "Images", "Settings", "check_names", "check_pairs", "evaluate"]

NAMES = tuple(METRICS)


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


def check_names(names: list[str], paired: bool, has_input: bool, judge: str | None) -> None:
    """Raises InputError for a metric that lacks a flag."""
    for name in names:
        if METRICS[name].kind in (PAIR, LABELS) and not paired:
            raise InputError(f"--metrics {name}: it compares pairs of images of the same name; add --paired")
        if METRICS[name].kind == CONTENT and not (paired or has_input):
            raise InputError(f"--metrics {name}: it compares translations with their inputs; give --input DIR")
    need_judge(names, judge, "--metrics")


def check_pairs(first: Images, second: Images) -> None:
    """Raises InputError with the first images of each side that have no partner on the other side."""
    lacking = []
    for here, there in ((first, second), (second, first)):
        missing = [name for name in there.files if name not in here.files]
        if missing:
            lacking.append(f"{here.title} lacks {some_of(missing)}")
    if lacking:
        raise InputError(f"the names of the pairs differ: {'; '.join(lacking)}")


def evaluate(real: Images, fake: Images, names: list[str], settings: Settings, paired=False, inputs=None) -> dict:
    """{"metrics": name -> value, interval, provenance; "images": image -> name -> value; "skipped": name -> reason}.

    `inputs` are the images whose translations `fake` are, for "edges"; without them `real` takes their place.
    """
    check_names(names, paired, inputs is not None, settings.judge)
    for other in ([real] if paired else []) + ([inputs] if inputs is not None else []):
        check_pairs(other, fake)
    of_photos = [name for name in names if METRICS[name].kind != LABELS]
    result: dict[str, dict] = {"metrics": {}, "images": {}, "skipped": {}}
    if of_photos:
        result = meter.combine(of_photos, _measure(real, fake, of_photos, settings, inputs), settings)
    _score_labels(real, fake, [name for name in names if METRICS[name].kind == LABELS], settings, result)
    result["metrics"] = {name: result["metrics"][name] for name in names if name in result["metrics"]}
    return result


def _measure(real, fake, names, settings, inputs):
    """The measurements of all images; a real image is read twice if it belongs to a pair and to a set."""
    gauge = Meter(names, settings)
    in_pairs, with_source = bool(gauge.needs(PAIR)), bool(gauge.needs(CONTENT))
    sources = real if inputs is None else inputs
    of_set = real.files if gauge.needs(SET) else {}
    bar = Bar(len(fake) + len(of_set), "images")
    for name in bar.over(fake.files):
        image = fake.array(name)
        pair = _same_size(real, fake, name, image) if in_pairs else None
        gauge.add(Sample(name, image, pair, _same_size(sources, fake, name, image) if with_source else None))
    for name in bar.over(of_set):
        gauge.add_real(name, real.array(name))
    return gauge.take()


def _same_size(others, fake, name, image):
    """The partner of an image; raises InputError if it has another size."""
    other = others.array(name)
    _check_size(others, fake, name, other, image)
    return other


def _check_size(others, fake, name, other, image):
    if other.shape[:2] != image.shape[:2]:
        sizes = ["{1}x{0}".format(*array.shape) for array in (image, other)]
        raise InputError(f"pair '{name}': {fake.title} has {sizes[0]} pixels, {others.title} has {sizes[1]}")


def _score_labels(real, fake, names, settings, result):
    if not names:
        return
    counts = []
    for image in Bar(len(fake), "images").over(fake.files):
        predicted, true = fake.labels(image), real.labels(image)
        _check_size(real, fake, image, true, predicted)
        counts.append(segmentation.tally(predicted, true, settings.ignored))
        own = segmentation.scores(counts[-1])
        result["images"].setdefault(image, {}).update({name: own[name] for name in names})
    result["metrics"] |= segmentation.compare(counts, names, settings.resamples, settings.seed, settings.ignored)
