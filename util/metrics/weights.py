"""Files of the published feature networks. They are looked for on disk; nothing is downloaded."""

import os
from typing import NamedTuple

import torch

from util.errors import InputError
from util.metrics.provenance import Unavailable


class Published(NamedTuple):
    """A file of weights as its authors publish it."""

    file: str
    url: str


FILES = {
    "inception": Published(
        "weights-inception-2015-12-05-6726825d.pth",
        "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth",
    ),
    "alex": Published(
        "alexnet-owt-7be5be79.pth", "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth"
    ),
    "vgg": Published("vgg16-397923af.pth", "https://download.pytorch.org/models/vgg16-397923af.pth"),
    "squeeze": Published(
        "squeezenet1_1-b8a52dc0.pth", "https://download.pytorch.org/models/squeezenet1_1-b8a52dc0.pth"
    ),
}  # fmt: skip


def cache_folder() -> str:
    """Where PyTorch keeps downloaded weights; TORCH_HOME moves it."""
    return os.path.join(torch.hub.get_dir(), "checkpoints")


def find(network: str, given: str | None = None) -> str:
    """Path of the weights of `network`: in `given` (a folder, or the file itself), else in PyTorch's cache.

    Raises Unavailable that names the file, its address and the place to put it.
    """
    published = FILES[network]
    if given is not None and not os.path.exists(given):
        raise InputError(f"--metric_weights {given}: there is no such file or folder")
    places = [cache_folder()] if given is None else [given, cache_folder()]
    for place in places:
        if os.path.isfile(place) and os.path.basename(place) == published.file:
            return place
        path = os.path.join(place, published.file)
        if os.path.isfile(path):
            return path
    raise Unavailable(
        f"the weights {published.file} are missing: download {published.url} to {cache_folder()}, "
        f"or to a folder that --metric_weights names"
    )
