"""95 % confidence intervals by the bootstrap: images are drawn with replacement, from a fixed seed."""

from collections.abc import Iterator

import numpy as np

LEVEL = 0.95


def draws(count: int, resamples: int, seed: int, stream: int = 0) -> Iterator[np.ndarray]:
    """`resamples` arrays of `count` indices below `count`. Streams of the same seed are independent of each other."""
    generator = np.random.default_rng([seed, stream])
    for _ in range(resamples):
        yield generator.integers(count, size=count)


def percentiles(values: list[float]) -> list[float]:
    """The interval that holds the middle 95 % of the values of resamples."""
    tail = (1 - LEVEL) / 2
    # Without interpolation between two values: a PSNR may be infinite, and inf - inf is not a number.
    low, high = np.quantile(values, tail, method="lower"), np.quantile(values, 1 - tail, method="higher")
    return [float(low), float(high)]


def of_mean(scores: list[float], resamples: int, seed: int) -> list[float] | None:
    """The interval of a mean over images; None for fewer than two images or without resamples."""
    if len(scores) < 2 or resamples == 0:
        return None
    values = np.asarray(scores, dtype=np.float64)
    return percentiles([values[chosen].mean() for chosen in draws(len(values), resamples, seed)])
