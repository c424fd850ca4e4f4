"""Distances between two sets of images in the feature space of a network: FID and KID.

FID = |m1 - m2|^2 + tr(S1 + S2 - 2 sqrt(S1 S2))                      (Heusel et al., 2017; m, S: mean, covariance)
KID = mean_{i!=j} k(x_i, x_j) + mean_{i!=j} k(y_i, y_j) - 2 mean k(x_i, y_j),  k(x, y) = (x.y / d + 1)^3
                                                                     (Binkowski et al., 2018)
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from util.metrics import intervals
from util.metrics.provenance import Unavailable, find, made_by, network_file, require
from util.run.weights import read_tensors

FID_RESAMPLES = 30  # at most: each needs an SVD, and the interval needs only their standard deviation, no percentiles
BLOCK = 2048  # rows of the kernel matrix that are in memory at a time


def inception(settings) -> tuple[Callable, dict]:
    """(network from 8-bit images to 2048 features, its record): Inception v3 as the FID's authors trained it."""
    path = find("inception", settings.metric_weights)
    module = require("torch-fidelity", "torch_fidelity.feature_extractor_inceptionv3")
    read_tensors(path)  # refuses a pickle that would run code, which the package below would run
    network = module.FeatureExtractorInceptionV3("inception", ["2048"], feature_extractor_weights_path=path)
    record = network_file("Inception v3, pool 2048 (torch-fidelity)", path)
    resize = "299x299, bilinear as in TensorFlow 1, inside the network"
    return network.to(settings.device).eval(), {"feature_network": record, "resize": resize}


@torch.no_grad()
def features(images: Sequence[np.ndarray], network: Callable, device="cpu") -> np.ndarray:
    """Features (N, D) of 8-bit images (H, W, 3) of one size, in one batch."""
    batch = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous()
    answer = network(batch.to(device))
    return (answer[0] if isinstance(answer, tuple) else answer).double().cpu().numpy()


def fid(real: np.ndarray, fake: np.ndarray) -> float:
    """Fréchet distance of two Gaussians with the means and covariances of the features."""
    (mean1, root1), (mean2, root2) = _mean_and_root(real), _mean_and_root(fake)
    # tr sqrt(S1 S2) is the sum of the singular values of R1 R2', for any roots S = R'R. This avoids the square root of
    # a matrix that is singular if there are fewer images than features.
    cross = np.linalg.svd(root1 @ root2.T, compute_uv=False).sum()
    distance = np.square(mean1 - mean2).sum() + np.square(root1).sum() + np.square(root2).sum() - 2 * cross
    return max(0.0, float(distance))  # rounding gives about -1e-12 for two equal sets


def _mean_and_root(values):
    """(mean, R) with R'R the covariance; R has at most as many rows as features."""
    mean = values.mean(axis=0)
    root = (values - mean) / np.sqrt(len(values) - 1)
    return mean, np.linalg.qr(root, mode="r") if len(root) > root.shape[1] else root


def fid_interval(real: np.ndarray, fake: np.ndarray, resamples: int, seed: int) -> list[float] | None:
    """The value -+ 1.96 standard deviations of the resamples.

    Not their percentiles: a resample has fewer different images, so its FID is larger than that of all images.
    """
    resamples = min(resamples, FID_RESAMPLES)
    if resamples < 2:
        return None
    both = zip(intervals.draws(len(real), resamples, seed), intervals.draws(len(fake), resamples, seed, 1), strict=True)
    reach = 1.96 * float(np.std([fid(real[first], fake[second]) for first, second in both], ddof=1))
    value = fid(real, fake)
    return [max(0.0, value - reach), value + reach]


def kid(real: np.ndarray, fake: np.ndarray) -> float:
    """The unbiased squared maximum mean discrepancy of the sets; it may be slightly negative for similar sets."""
    return float(_kid_weighted(real, fake, np.ones((len(real), 1)), np.ones((len(fake), 1)))[0])


def kid_interval(real: np.ndarray, fake: np.ndarray, resamples: int, seed: int) -> list[float] | None:
    """Percentiles of the resamples, which are unbiased too: pairs of an image with its own copy are left out."""
    if resamples == 0:
        return None
    counts = []
    for stream, values in enumerate((real, fake)):
        chosen = intervals.draws(len(values), resamples, seed, stream)
        counts.append(np.stack([np.bincount(each, minlength=len(values)) for each in chosen], axis=1).astype(float))
    found = _kid_weighted(real, fake, *counts)
    return intervals.percentiles(found[np.isfinite(found)])  # NaN: a resample that holds one image only


def _kid_weighted(real, fake, real_counts, fake_counts):
    """KID of resamples: entry (i, r) of the counts is how often image i is in resample r."""
    with np.errstate(invalid="ignore", divide="ignore"):
        own = [_own(values, counts) for values, counts in ((real, real_counts), (fake, fake_counts))]
    cross = _sums(real, fake, real_counts, fake_counts) / (real_counts.sum(0) * fake_counts.sum(0))
    return own[0] + own[1] - 2 * cross


def _own(values, counts):
    diagonal = (np.square(values).sum(1) / values.shape[1] + 1) ** 3
    pairs = counts.sum(0) ** 2 - np.square(counts).sum(0)
    return (_sums(values, values, counts, counts) - diagonal @ np.square(counts)) / pairs


def _sums(first, second, first_counts, second_counts):
    """sum_ij counts_i counts_j k(first_i, second_j) for each resample, with BLOCK rows of k in memory."""
    total = 0
    for start in range(0, len(first), BLOCK):
        kernel = (first[start : start + BLOCK] @ second.T / first.shape[1] + 1) ** 3
        total = total + (first_counts[start : start + BLOCK] * (kernel @ second_counts)).sum(0)
    return total


DISTANCES = {"fid": (fid, fid_interval), "kid": (kid, kid_interval)}


def compare(name: str, real: np.ndarray, fake: np.ndarray, resamples: int, seed: int, network: dict) -> dict:
    """{"value", "interval", "provenance"} of "fid" or "kid" of two sets of features."""
    if min(len(real), len(fake)) < 2:
        raise Unavailable(f"{name} needs at least 2 images in each folder, there are {len(real)} and {len(fake)}")
    distance, interval = DISTANCES[name]
    samples = {"real": len(real), "fake": len(fake)}
    resamples = min(resamples, FID_RESAMPLES) if name == "fid" else resamples
    record = made_by("metamer", f"util.metrics.distributions.{name}", **network)
    record |= {"samples": samples, "seed": seed, "resamples": resamples}
    return {"value": distance(real, fake), "interval": interval(real, fake, resamples, seed), "provenance": record}
