"""Scores of predicted label images against the true ones, those of the "FCN score" (Long et al., 2015).

n_ij is the number of pixels of class i that are predicted as class j, over all images; t_i = sum_j n_ij.

    pixel accuracy = sum_i n_ii / sum_i t_i
    class accuracy = mean over classes with t_i > 0 of n_ii / t_i
    mean IoU       = mean over classes that occur of n_ii / (t_i + sum_j n_ji - n_ii)
"""

import numpy as np
from PIL import Image

from util.errors import InputError
from util.metrics import intervals
from util.metrics.provenance import made_by

NAMES = ("pixel_accuracy", "class_accuracy", "mean_iou")
IGNORED = 255  # pixels with this true label are not counted, as in Cityscapes and Pascal VOC
MODES = ("L", "P", "1", "I", "I;16")


def read_labels(path: str) -> np.ndarray:
    """A label image as class indices (H, W): palette indices or gray levels."""
    try:
        with Image.open(path, formats=("PNG", "BMP", "GIF", "TIFF")) as image:
            mode, labels = image.mode, np.asarray(image)
    except Exception as error:  # decoders raise many types for damaged files
        raise InputError(f"{path}: can't be read as a label image (PNG, BMP, GIF, TIFF): {error}") from error
    if mode not in MODES:
        raise InputError(f"{path}: a label image has one class index per pixel (palette or gray), this one is {mode}")
    labels = labels.astype(np.int64)
    if labels.min() < 0 or labels.max() > 65535:
        raise InputError(f"{path}: class indices go from 0 to 65535, not from {labels.min()} to {labels.max()}")
    return labels


def tally(predicted: np.ndarray, true: np.ndarray, ignored: int = IGNORED) -> np.ndarray:
    """Pixels per class (3, C): n_ii, t_i and sum_j n_ji of one image. A prediction of `ignored` is wrong."""
    counted = true != ignored
    predicted, true = predicted[counted], true[counted]
    hits = true[predicted == true]
    predicted = predicted[predicted != ignored]
    classes = 1 + max(true.max(initial=-1), predicted.max(initial=-1))
    return np.stack([np.bincount(each, minlength=classes) for each in (hits, true, predicted)])


def scores(counts: np.ndarray) -> dict[str, float]:
    """The three scores of a tally; NaN if no pixel counts."""
    hits, true, predicted = counts
    union = true + predicted - hits
    if not true.any():
        return dict.fromkeys(NAMES, float("nan"))
    values = (
        hits.sum() / true.sum(),
        (hits[true > 0] / true[true > 0]).mean(),
        (hits[union > 0] / union[union > 0]).mean(),
    )
    return dict(zip(NAMES, map(float, values), strict=True))


def pooled(each: list[np.ndarray]) -> np.ndarray:
    """The tallies of images, of different numbers of classes, as one array (N, 3, C)."""
    classes = max(counts.shape[1] for counts in each)
    return np.stack([np.pad(counts, ((0, 0), (0, classes - counts.shape[1]))) for counts in each])


def compare(each: list[np.ndarray], names: list[str], resamples: int, seed: int, ignored: int) -> dict[str, dict]:
    """name -> {"value", "interval", "provenance"} over all images, from their tallies."""
    whole = pooled(each)
    value, found = scores(whole.sum(axis=0)), []
    if np.isnan(value["pixel_accuracy"]):
        raise InputError(f"--real: every pixel of the labels is {ignored}, the label that is ignored")
    if len(each) > 1:
        found = [scores(whole[chosen].sum(axis=0)) for chosen in intervals.draws(len(each), resamples, seed)]
        found = [score for score in found if not np.isnan(score["pixel_accuracy"])]
    result = {}
    for name in names:
        interval = intervals.percentiles([score[name] for score in found]) if found else None
        more = {"ignored": ignored, "resize": None, "samples": len(each), "seed": seed, "resamples": resamples}
        record = made_by("metamer", f"util.metrics.segmentation.{name}", **more)
        result[name] = {"value": value[name], "interval": interval, "provenance": record}
    return result
