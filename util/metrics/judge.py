"""A small classifier of the two domains of a data set: the share of translations classified as the target domain.

It is trained on the images of the data set alone, so it needs no published weights.
"""

from collections.abc import Callable, Iterable

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from util.errors import InputError
from util.files import replacing
from util.metrics.provenance import made_by, network_file
from util.numerics import seeding
from util.run.weights import fit, read_plain, write_tensors

FORMAT = 1
WIDTHS = (16, 32, 64, 64)  # channels; each layer halves the image


class Judge(nn.Module):
    """8-bit images (N, 3, H, W) -> a logit for each (N,); above 0: the target domain, B."""

    def __init__(self, size: int):
        super().__init__()
        self.size = size
        channels = zip((3, *WIDTHS), WIDTHS, strict=False)
        self.layers = nn.Sequential(
            *(nn.Sequential(nn.Conv2d(a, b, 3, 2, 1), nn.GroupNorm(8, b), nn.ReLU()) for a, b in channels)
        )
        self.last = nn.Linear(WIDTHS[-1], 1)

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """(N, 64): the means of the last feature maps."""
        unit = images.float() / 127.5 - 1
        if unit.shape[-2:] != (self.size, self.size):
            unit = F.interpolate(unit, (self.size, self.size), mode="bilinear", antialias=True, align_corners=False)
        return self.layers(unit).mean(dim=(2, 3))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.last(self.features(images)).squeeze(1)

    def is_target(self, images: torch.Tensor) -> torch.Tensor:
        """(N,): 1 for an image that is classified as the target domain, else 0."""
        return (self(images) > 0).float()


def read_all(paths: Iterable[str], size: int, opener: Callable) -> torch.Tensor:
    """The images resized to (N, 3, size, size), 8-bit. They stay in memory: 12 kB for each image of 64x64."""
    resized = (np.asarray(opener(path).resize((size, size), Image.Resampling.BILINEAR)) for path in paths)
    return torch.from_numpy(np.stack(list(resized))).permute(0, 3, 1, 2).contiguous()


def train(
    domain_a: torch.Tensor,
    domain_b: torch.Tensor,
    steps: int,
    seed: int,
    batch_size: int = 32,
    counted: Callable[[Iterable], Iterable] = iter,
) -> Judge:
    """A judge of the images; equal images, steps and seed give equal weights on the same machine.

    `counted` wraps the iterable of the steps, to show the progress.
    """
    seeding.seed_build(seed)
    judge = Judge(domain_a.shape[-1])
    optimizer = torch.optim.AdamW(judge.parameters(), lr=1e-3, weight_decay=1e-2)
    generator = np.random.default_rng(seed)
    half = max(1, batch_size // 2)
    truth = torch.cat([torch.zeros(half), torch.ones(half)])
    for _ in counted(range(steps)):
        batch = torch.cat([each[generator.integers(len(each), size=half)] for each in (domain_a, domain_b)])
        if generator.random() < 0.5:
            batch = batch.flip(3)
        loss = F.binary_cross_entropy_with_logits(judge(batch), truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return judge.eval()


@torch.no_grad()
def accuracy(judge: Judge, domain_a: torch.Tensor, domain_b: torch.Tensor) -> float:
    """The share of images that are classified correctly, averaged over the two domains."""
    in_a, in_b = (
        torch.cat([judge.is_target(part) for part in each.split(64)]).mean().item() for each in (domain_a, domain_b)
    )
    return ((1 - in_a) + in_b) / 2


def save(judge: Judge, path: str, about: dict) -> None:
    """Write the judge and `about`, plain values that describe its training, to one file."""
    with replacing(path) as file:
        write_tensors({"format": FORMAT, "size": judge.size, "about": about, "state": judge.state_dict()}, file)


def load(path: str, device="cpu") -> tuple[Judge, dict]:
    """(judge, its record) from a file of save()."""
    content = read_plain(path)
    if not isinstance(content, dict) or content.get("format") != FORMAT or not isinstance(content.get("size"), int):
        raise InputError(f"--judge {path}: not a file of scripts/train_judge.py; make one with this script")
    judge = Judge(content["size"])
    fit(judge, content["state"], path)
    record = made_by("metamer", "util.metrics.judge.Judge", feature_network=network_file("judge", path))
    record |= {"resize": f"{judge.size}x{judge.size}, bilinear, antialiased", "trained": content["about"]}
    return judge.to(device).eval(), record
