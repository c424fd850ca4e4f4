"""A trained run as a function of an image, for ``test.py``, ``metamer.load`` and the scripts.

translate = Translator.load("checkpoints/horses")
zebra = translate(Image.open("horse.jpg"))
"""

from __future__ import annotations

import contextlib
import inspect
import io
import os
import threading
from argparse import Namespace
from collections.abc import Iterable, Iterator
from typing import Any

import torch

import models
from data.conversion import to_tensor
from data.pictures import read
from data.values import Picture
from models import tables
from models.architectures.layers import pad_to_multiple
from models.base_model import BaseModel
from models.tiled_images import InTiles
from models.tiling import Tiling
from models.trained import options_of
from util.errors import InputError
from util.factory import make
from util.namespace import framework
from util.numerics import seeding

FOREIGN_MULTIPLE, FOREIGN_SMALLEST = 4, 16  # sides of images for generators of plug-ins, in pixels
BATCH = 8  # images of one size in a batch, if the caller gives no batch_size


class Translator:
    """Calls the generators of a model on single images, lists and batches.

    If the model defines ``translate``, a Translator writes none of its attributes, so several threads may share it.
    Networks in which samples of a batch influence each other (batch norm, dropout) get the samples one by one, and the
    same seed for dropout each time: the result of an image is the same alone, in a list and in test.py.
    """

    def __init__(self, model: BaseModel, direction: str | None = None) -> None:
        self.model = model
        self.opt = framework(model.opt)
        self.condition = _direction(model, direction)
        self.alone = model.mixes_samples()
        self._lock = threading.Lock()
        self._in_tiles = InTiles(self)

    @classmethod
    def load(cls, run: str | os.PathLike, epoch: str | int = "latest", direction: str | None = None, device="auto"):
        """The Translator of the run in a folder such as ``checkpoints/horses``.

        `epoch` is "latest", a number or "best"; `direction` ("AtoB" or "BtoA") chooses the generator of a two-sided
        run, None is the direction of its training; `device` is "auto", "cpu", "cuda", "cuda:N" or "mps". Raises
        InputError (a ValueError) if the folder, the checkpoint or the direction does not exist.
        """
        opt = options_of(run, epoch, device)
        with contextlib.redirect_stdout(io.StringIO()):  # the progress lines of train.py and test.py
            model = make(models.find_model_using_name(opt.model), opt)
            model.setup(opt)
        return cls(model, direction)

    def __call__(
        self,
        image: Any,
        *,
        tile: int | None = None,
        batch_size: int | None = None,
        target: Any = None,
        tile_overlap: int | None = None,
        tile_samples: int | None = None,
    ) -> Any:
        """The translation of an image, or of each image of a list, with the type and size of the input.

        data/conversion.py lists the types. `batch_size` consecutive images of one size form a batch. `target` is for
        models with several targets: for stargan a name ("Blond_Hair", "Male+Young") or attributes with values
        ({"Blond_Hair": 1, "Male": 0}); without it, images are translated to the first target. With `tile`, images
        larger than `tile` pixels are translated in tiles of this side, one by one, with little memory;
        models/tiling.py explains `tile_overlap`, `tile_samples` and the precision. Raises TypeError or ValueError for
        wrong input.
        """
        if target is None and hasattr(self.model, "default_target"):
            target = self.model.default_target()
        condition = self.condition_for(target)
        tiling = None if tile is None else Tiling(tile, tile_overlap, tile_samples)
        images = list(image) if isinstance(image, list | tuple) else [image]
        if tiling is None:
            results = self._many(images, batch_size, condition)
        else:
            results = [self._in_tiles.translate(each, condition, tiling) for each in images]
        return results if isinstance(image, list | tuple) else results[0]

    def run_batch(self, data: dict) -> tuple[dict, list]:
        """(name -> images, paths) of a data set's batch: the visuals of a result page, including the inputs."""
        if getattr(self.opt, "tile", None):
            return self._in_tiles.of_batch(data)
        with self._repeatable():
            self.model.set_input(data)
            self.model.test()
            return self.model.get_current_visuals(), self.model.get_image_paths()

    def _many(self, images: list, batch_size: int | None, condition: dict) -> list:
        if batch_size is not None and (not isinstance(batch_size, int) or batch_size < 1):
            raise InputError(f"batch_size {batch_size!r}: expected a whole number from 1 on")
        results: list = []
        converted = (to_tensor(image, self.input_channels(), self.data_range()) for image in images)
        for group in _groups(converted, batch_size or BATCH):
            whole_batches = group[0][0].dim() == 4
            tensors = [tensor for tensor, _ in group]
            made = self.translate_batch(tensors[0] if whole_batches else torch.stack(tensors), **condition)
            results += [back(each) for (_, back), each in zip(group, [made] if whole_batches else made)]
        return results

    def translate_batch(self, images: torch.Tensor, **condition: Any) -> torch.Tensor:
        """(N, output channels, H, W) for (N, input channels, H, W), both in [-1, 1], of any height and width."""
        padded = images.to(self.model.device)
        if not self._takes_any_size():
            padded = pad_to_multiple(padded, FOREIGN_MULTIPLE, FOREIGN_SMALLEST)
        parts = padded.split(1) if self.alone else [padded]
        made = torch.cat([self.first_of(part, condition) for part in parts])
        return made[..., : images.shape[-2], : images.shape[-1]]

    def _takes_any_size(self) -> bool:
        """Whether the generators pad and crop their images, as built-in generators do; those of plug-ins may not."""
        nets = [getattr(self.model, "net" + name, None) for name in self.model.generator_names]
        return bool(nets) and all(hasattr(net, "multiple_of") for net in nets)

    def first_of(self, images: torch.Tensor, condition: dict, model: BaseModel | None = None) -> torch.Tensor:
        """The first entry of what translate() returns, of this model or of a copy of it."""
        with self._repeatable(), torch.no_grad():
            made = (model or self.model).translate(images, **condition)
        return next(iter(made.values()))

    @contextlib.contextmanager
    def _repeatable(self) -> Iterator[None]:
        """Seed dropout in the same way for each image, and restore the caller's random generators.

        The lock is for threads: random generators belong to the whole process, and the default ``BaseModel.translate``
        of plug-ins writes attributes.
        """
        if not self.alone and self.model.generator_names:
            yield
            return
        with self._lock, seeding.restored():
            seeding.seed_step(self.opt.seed or 0, 0)
            yield

    def condition_for(self, target: Any) -> dict:
        """The keyword arguments of the model's translate for this direction and target."""
        if target is None:
            return self.condition
        if "target" not in inspect.signature(self.model.translate).parameters:
            raise InputError(f"target {target!r}: --model {self.opt.model} translates to one target only; leave it out")
        if hasattr(self.model, "check_target"):  # not in plug-ins
            self.model.check_target(target)
        return {**self.condition, "target": target}

    def read(self, path: str | os.PathLike) -> Picture:
        """An image file, with the value range of the run's data; calling the Translator on it returns a Picture."""
        return read(path, self.data_range())

    def data_range(self) -> tuple[float, float] | None:
        """The pixel values that become -1 and 1; None if they follow from the image's data type."""
        low_high = getattr(self.opt, "data_range", None)
        return None if low_high is None else (low_high[0], low_high[1])

    def input_channels(self) -> int:
        """Channels of the images that are translated."""
        reverse = self.condition.get("direction", self.opt.direction) != self.opt.direction
        return self.opt.output_nc if reverse else self.opt.input_nc


def _groups(images: Iterable, most: int) -> Iterator[list]:
    """Groups of at most `most` consecutive images of one shape; a tensor (N, C, H, W) is a group by itself."""
    group: list = []
    for image in images:
        if group and (len(group) == most or image[0].dim() == 4 or image[0].shape != group[0][0].shape):
            yield group
            group = []
        group.append(image)
    if group:
        yield group


def _direction(model: BaseModel, direction: str | None) -> dict:
    """The condition {"direction": ...} for a model that translates both ways; {} for other models."""
    if direction not in (None, "AtoB", "BtoA"):
        raise InputError(f"direction {direction!r}: choose AtoB or BtoA")
    if direction is None:
        return {}
    if models.translates_both_ways(model):
        return {"direction": direction}
    if direction != model.opt.direction:
        raise InputError(
            f"direction {direction}: the run '{model.opt.name}' was trained {model.opt.direction} only; leave it out"
        )
    return {}


def stride_of(opt: Namespace) -> int:
    """Height and width of a generator's input must be multiples of this number; 4 for networks of plug-ins."""
    return tables.stride_of(opt) if opt.netG in tables.GENERATORS else 4
