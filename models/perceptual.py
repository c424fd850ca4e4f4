"""The perceptual term of --lambda_perceptual: the distance of two images in the features of a trained classifier.

vgg     Johnson, Alahi, Fei-Fei, ECCV 2016, in the form of Wang et al., CVPR 2018 (released code of pix2pixHD):

            sum_i w_i mean |F_i(fake) - F_i(real)|

        F: VGG-19, its maps relu1_1, relu2_1, relu3_1, relu4_1, relu5_1; w: 1/32, 1/16, 1/8, 1/4, 1
lpips   Zhang, Isola, Efros, Shechtman, Wang, CVPR 2018, equation 1, version 0.1 of the package lpips:

            sum_i mean_hw sum_c h_ic (F_ic(fake) / |F_i(fake)| - F_ic(real) / |F_i(real)|)^2

        F: VGG-16, its maps relu1_2, relu2_2, relu3_3, relu4_3, relu5_3; h: weights learned on human judgements, which
        come with the package. The authors use VGG for losses, and AlexNet as a metric (see --metrics lpips).

Images in [-1, 1] are normalised as for ImageNet; an image of one channel is repeated to three. No parameter is trained.
"""

import os
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from models import fit_out, networks
from util.errors import InputError
from util.metrics.provenance import Unavailable, find, require
from util.run.weights import read_tensors

SMALLEST = 16  # side of an image of which four poolings leave a pixel
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of the images of ImageNet in [0, 1]


class Layers(NamedTuple):
    """The classifier of a value of --perceptual, and the ends of the slices of its layers that give the maps."""

    network: str
    ends: tuple[int, ...]


LAYERS = {"vgg": Layers("vgg19", (2, 7, 12, 21, 30)), "lpips": Layers("vgg16", (4, 9, 16, 23, 30))}
VGG_WEIGHTS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)


class FeatureMaps(nn.Module):
    """(N, 1 or 3, H, W) in [-1, 1] -> list of five maps (N, C_i, H_i, W_i); frozen, in eval mode."""

    def __init__(self, layers: nn.Sequential, ends: tuple[int, ...]):
        super().__init__()
        starts = (0, *ends[:-1])
        self.slices = nn.ModuleList(layers[start:end] for start, end in zip(starts, ends))
        mean, deviation = (torch.tensor(each).view(1, 3, 1, 1) for each in (MEAN, DEVIATION))
        self.register_buffer("shift", 2 * mean - 1)
        self.register_buffer("scale", 2 * deviation)
        self.requires_grad_(False).eval()

    def forward(self, images):
        if min(images.shape[-2:]) < SMALLEST:
            raise networks.UnfitSize(f"--lambda_perceptual: an image has a side under {SMALLEST} pixels")
        x = (images.to(self.shift.dtype) - self.shift) / self.scale
        maps = []
        for layers in self.slices:
            x = layers(x)
            maps.append(x)
        return maps


class PerceptualLoss:
    """(fake, real), both (N, 1 or 3, H, W) in [-1, 1] -> a scalar with a gradient for `fake` only.

    It is not a network of the model, so it is in no checkpoint and no optimizer.
    """

    def __init__(self, maps: nn.Module, distances: list[Callable]):
        self.maps, self.distances = maps, distances

    def __call__(self, fake: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            of_real = self.maps(real)
        of_fake = self.maps(fake)
        parts = [distance(*pair) for distance, *pair in zip(self.distances, of_fake, of_real, strict=True)]
        return torch.stack(parts).sum()


def make(kind: str, path: str | None, opt: Any, device: torch.device, precision: Any) -> PerceptualLoss:
    """The loss of a value of --perceptual, on the device, with the run's memory layout and precision.

    `path`: a file or a folder with the weights of the classifier (--perceptual_weights), None for PyTorch's cache.
    Raises InputError with the file to download and the folder for it.
    """
    network, ends = LAYERS[kind]
    try:
        file = find(network, path, "--perceptual_weights", any_name=True)
        distances = [_l1(weight) for weight in VGG_WEIGHTS] if kind == "vgg" else _of_lpips(device)
    except Unavailable as error:
        raise InputError(f"--lambda_perceptual, --perceptual {kind}: {error}") from None
    maps = FeatureMaps(load_layers(network, file), ends).to(device)
    if getattr(opt, "channels_last", False):
        fit_out.use_channels_last(maps)
    precision.use_autocast(maps)
    return PerceptualLoss(maps, distances)


def load_layers(network: str, path: str) -> nn.Sequential:
    """The convolutional layers of torchvision's `network` with the weights in `path`."""
    import torchvision

    state = read_tensors(path)
    with torch.device("meta"):  # no memory, and no random numbers, for weights that are replaced
        layers = getattr(torchvision.models, network)(weights=None).features
    try:
        filled = {key: state[f"features.{key}"].float() for key in layers.state_dict()}
        layers.load_state_dict(filled, assign=True)
    except (KeyError, RuntimeError, AttributeError):
        raise InputError(
            f"--perceptual_weights {path}: not the weights of torchvision's {network}; download the file again"
        ) from None
    return layers


def _l1(weight):
    return lambda fake, real: weight * F.l1_loss(fake, real)


def _of_lpips(device):
    """The five distances of LPIPS on VGG-16; the weights of their channels are in the package lpips."""
    package = require("lpips")
    heads = read_tensors(os.path.join(os.path.dirname(package.__file__), "weights", "v0.1", "vgg.pth"))
    return [_lpips(heads[f"lin{number}.model.1.weight"].to(device)) for number in range(len(LAYERS["lpips"].ends))]


def _lpips(head):
    """head: (1, C, 1, 1). F.normalize has a gradient of 0 where a vector is 0, where the package's own has NaN."""

    def distance(fake, real):
        difference = F.normalize(fake, dim=1, eps=1e-10) - F.normalize(real, dim=1, eps=1e-10)
        return F.conv2d(difference.square(), head).mean()

    return distance
