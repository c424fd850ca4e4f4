"""Does a translation keep the content of its input? Compared are the places and the strengths of edges."""

import numpy as np
import torch
import torch.nn.functional as F

from util.metrics.pairs import PairMetric, unit
from util.metrics.provenance import made_by

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
SOBEL = ((-1.0, 0.0, 1.0), (-2.0, 0.0, 2.0), (-1.0, 0.0, 1.0))


def edges(settings) -> PairMetric:
    """Correlation of the edge strengths of two images: 1 for the same edges, about 0 for unrelated ones."""
    return PairMetric(
        edge_correlation,
        made_by("metamer", "util.metrics.content.edge_correlation", operator="Sobel on luma", resize=None),
    )


def edge_correlation(fake: np.ndarray, real: np.ndarray) -> float:
    """Pearson's correlation of the two maps of edge strength. Two flat images have 1, one flat image has 0."""
    first, second = (each - each.mean() for each in (edge_strength(fake), edge_strength(real)))
    norms = [float(each.square().sum().sqrt()) for each in (first, second)]
    if min(norms) < 1e-9:
        return float(max(norms) < 1e-9)
    return float((first * second).sum() / (norms[0] * norms[1]))


def edge_strength(image: np.ndarray) -> torch.Tensor:
    """Length of the gradient of the luma (H, W): blind to the sign, so that day to night keeps its edges."""
    luma = (unit(image) * torch.tensor(LUMA, dtype=torch.float64)[:, None, None]).sum(1, keepdim=True)
    sobel = torch.tensor(SOBEL, dtype=torch.float64)
    kernels = torch.stack([sobel, sobel.T]).unsqueeze(1)  # (2, 1, 3, 3)
    gradient = F.conv2d(F.pad(luma, (1, 1, 1, 1), mode="replicate"), kernels)
    return gradient.square().sum(1).sqrt()[0]
