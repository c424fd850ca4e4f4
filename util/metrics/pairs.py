"""Metrics of a pair of images: l1, psnr, ssim, ms_ssim, lpips, edges. Images are 8-bit RGB arrays (H, W, 3)."""

import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from util.errors import InputError
from util.metrics import pixels
from util.metrics.provenance import Unavailable, find, made_by, network_file, require
from util.run.weights import read_tensors

WINDOW = 11  # side of the Gaussian window of SSIM, sigma 1.5
SCALES = 5  # of MS-SSIM; each halves the image
SMALLEST = WINDOW * 2 ** (SCALES - 1)  # the last scale must hold a whole window
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
SOBEL = ((-1.0, 0.0, 1.0), (-2.0, 0.0, 2.0), (-1.0, 0.0, 1.0))


class PairMetric(NamedTuple):
    """`measure(fake, real)` returns the score of a pair; it raises Unavailable if the pair can't be scored."""

    measure: Callable[[np.ndarray, np.ndarray], float]
    provenance: dict


def l1(settings) -> PairMetric:
    """Mean absolute error of values in [0, 1]."""

    def measure(fake, real):
        return pixels.l1(pixels.values(fake), pixels.values(real)) / pixels.RANGE

    return PairMetric(measure, made_by("metamer", "util.metrics.pixels.l1", range=1, resize=None))


def psnr(settings) -> PairMetric:
    """Peak signal-to-noise ratio in dB over all channels of an image."""

    def measure(fake, real):
        return pixels.psnr(pixels.values(fake), pixels.values(real))

    return PairMetric(measure, made_by("metamer", "util.metrics.pixels.psnr", resize=None))


def ssim(settings) -> PairMetric:
    """Structural similarity (Wang et al., 2004): Gaussian window, mean over the channels.

    Averaged over the windows that lie inside the image, as in the paper; torchmetrics also averages over the reflected
    border.
    """
    compute = require("torchmetrics", "torchmetrics.functional.image").structural_similarity_index_measure

    def measure(fake, real):
        need_side(fake, WINDOW, "ssim")
        _, values = compute(unit(fake), unit(real), data_range=1.0, return_full_image=True)
        border = WINDOW // 2
        return float(values[..., border:-border, border:-border].mean())

    settings_of_it = {"window": WINDOW, "sigma": 1.5, "border": "whole windows only", "resize": None}
    return PairMetric(measure, made_by("torchmetrics", "structural_similarity_index_measure", **settings_of_it))


def ms_ssim(settings) -> PairMetric:
    """SSIM over five scales (Wang et al., 2003)."""
    functional = require("torchmetrics", "torchmetrics.functional.image")
    compute = functional.multiscale_structural_similarity_index_measure

    def measure(fake, real):
        need_side(fake, SMALLEST, "ms_ssim")
        return float(compute(unit(fake), unit(real), data_range=1.0))

    settings_of_it = {"window": WINDOW, "sigma": 1.5, "scales": SCALES, "resize": None}
    return PairMetric(
        measure, made_by("torchmetrics", "multiscale_structural_similarity_index_measure", **settings_of_it)
    )


def lpips(settings) -> PairMetric:
    """Learned perceptual distance (Zhang et al., 2018), version 0.1, on AlexNet; 0 for equal images."""
    path = find("alex", settings.metric_weights)
    package = require("lpips")
    with warnings.catch_warnings():  # the package calls torchvision in a deprecated way
        warnings.simplefilter("ignore")
        distance = package.LPIPS(net="alex", pnet_rand=True, verbose=False)  # pnet_rand: nothing is downloaded
    fill_trunk(distance.net, path)
    distance.to(settings.device).eval()

    @torch.no_grad()
    def measure(fake, real):
        need_side(fake, 35, "lpips")  # AlexNet's pooling layers reduce smaller images to nothing
        fake, real = (unit(image, torch.float32).to(settings.device) for image in (fake, real))
        return float(distance(fake, real, normalize=True))

    record = network_file("AlexNet", path)
    return PairMetric(measure, made_by("lpips", "LPIPS 0.1", feature_network=record, resize=None))


def fill_trunk(trunk, path: str) -> None:
    """Load torchvision's weights "features.<n>.*" into the trunk, whose keys are "slice<k>.<n>.*"."""
    state = read_tensors(path)
    try:
        renamed = {key: state["features." + key.split(".", 1)[1]] for key in trunk.state_dict()}
        trunk.load_state_dict(renamed)
    except (KeyError, RuntimeError):
        raise InputError(f"{path}: not the weights of the network that lpips needs; download the file again") from None


def unit(image: np.ndarray, dtype=torch.float64) -> torch.Tensor:
    """8-bit (H, W, 3) -> tensor (1, 3, H, W) in [0, 1]. Double precision: SSIM subtracts nearly equal numbers."""
    return (torch.from_numpy(np.array(image)).permute(2, 0, 1).unsqueeze(0).to(torch.float64) / 255).to(dtype)


def need_side(image: np.ndarray, side: int, name: str) -> None:
    """Raises Unavailable for an image with a side below `side` pixels."""
    height, width = image.shape[:2]
    if min(height, width) < side:
        raise Unavailable(f"{name} needs images of at least {side}x{side} pixels, this pair has {width}x{height}")


def edges(settings) -> PairMetric:
    """Correlation of the edge strengths of two images: 1 for the same edges, about 0 for unrelated images.

    For an input and its translation it measures how well the content is preserved: the places and strengths of edges.
    """
    return PairMetric(
        edge_correlation,
        made_by("metamer", "util.metrics.pairs.edge_correlation", operator="Sobel on luma", resize=None),
    )


def edge_correlation(fake: np.ndarray, real: np.ndarray) -> float:
    """Pearson's correlation of the two maps of edge strength. Two flat images have 1, one flat image has 0."""
    first, second = (each - each.mean() for each in (edge_strength(fake), edge_strength(real)))
    norms = [float(each.square().sum().sqrt()) for each in (first, second)]
    if min(norms) < 1e-9:
        return float(max(norms) < 1e-9)
    return float((first * second).sum() / (norms[0] * norms[1]))


def edge_strength(image: np.ndarray) -> torch.Tensor:
    """Length of the gradient of the luma (H, W). The sign is ignored: edges may change from dark to bright."""
    luma = (unit(image) * torch.tensor(LUMA, dtype=torch.float64)[:, None, None]).sum(1, keepdim=True)
    sobel = torch.tensor(SOBEL, dtype=torch.float64)
    kernels = torch.stack([sobel, sobel.T]).unsqueeze(1)  # (2, 1, 3, 3)
    gradient = F.conv2d(F.pad(luma, (1, 1, 1, 1), mode="replicate"), kernels)
    return gradient.square().sum(1).sqrt()[0]
