"""Translation in tiles of images of any type, for Translator(image, tile=512) and test.py --tile; see tiling.py."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from data.conversion import Converter, check_tensor, to_picture
from models.reach import overlap_for, reach_of_call
from models.tiling import TiledModel, Tiling
from util.run.batch_slices import is_paired
from util.util import source_side

ALL = slice(None)
OVERVIEW = 512  # pixels of the shorter side, at least, of an image whose attributes a model predicts
PROBE = 64  # pixels of an image whose translation shows which networks run


class InTiles:
    """The tiled translations of a Translator. The first large image makes a copy of its model."""

    def __init__(self, translator) -> None:
        self.translator = translator
        self._lock = threading.Lock()  # one image at a time: the norms hold the statistics of an image
        self._model: TiledModel | None = None
        self._reaches: dict[str | None, int | None] = {}  # by direction

    def translate(self, image: Any, condition: dict, tiling: Tiling) -> Any:
        """The translation of an image, with the type of the input. Only tiles of a file are held as floating point."""
        tiling.check()
        if isinstance(image, torch.Tensor):
            check_tensor(image, self.translator.input_channels())
            if image.dim() == 4 and len(image) == 1:
                return self._of_tensor(image[0], condition, tiling)[None]
            if image.dim() == 4:
                return torch.stack([self._of_tensor(sample, condition, tiling) for sample in image])
            return self._of_tensor(image, condition, tiling)
        picture, restore = to_picture(image, self.translator.data_range())
        convert = Converter(picture, self.translator.input_channels())
        height, width, _ = picture.array.shape

        def get(rows, columns):
            return convert.tensor(rows, columns)[None]

        array = np.empty(0)
        for place, made in self._rows(get, (height, width), condition, tiling):
            values = convert.values(made[0], place)
            if not array.size:
                array = np.empty((height, *values.shape[1:]), values.dtype)
            array[place] = values
        return restore(picture._replace(array=array))

    def _of_tensor(self, image, condition, tiling):
        def get(rows, columns):
            return image[None, :, rows, columns].float()

        whole = torch.empty(0)
        for place, made in self._rows(get, tuple(image.shape[1:]), condition, tiling):
            if not whole.numel():
                whole = image.new_empty((made.shape[1], *image.shape[1:]))
            whole[:, place] = made[0]
        return whole

    def _rows(self, get: Callable, size: tuple[int, int], condition: dict, tiling: Tiling) -> Iterator:
        """Yields (rows, their translation (1, C, rows, W)) of an image of `size` = (H, W); `get` returns a window."""
        translator = self.translator
        if max(size) <= tiling.tile:
            yield ALL, translator.translate_batch(get(ALL, ALL), **condition)
            return
        with self._lock:
            tiled = self._model = self._model or TiledModel(translator.model)
            tiling = self._with_overlap(tiling, get, condition)
            settled = getattr(translator.model, "settled", None)
            if settled is not None:  # a condition that depends on the image depends on the whole image
                every = slice(None, None, max(1, min(size) // OVERVIEW))
                condition = settled(get(every, every), condition)

            def run(window):
                return translator.first_of(window.to(translator.model.device), condition, tiled.model)

            yield from tiled.translate(get, size, tiling, run)

    def _with_overlap(self, tiling: Tiling, get: Callable, condition: dict) -> Tiling:
        """With the overlap that the generator of this direction needs; its reach is measured once."""
        model, direction = self.translator.model, condition.get("direction")
        nets = [getattr(model, "net" + name) for name in model.generator_names]
        if direction not in self._reaches:
            window = get(slice(0, PROBE), slice(0, PROBE))
            self._reaches[direction] = reach_of_call(nets, lambda: self.translator.translate_batch(window, **condition))
        assert self._model is not None
        multiple = self._model.statistics.multiple
        return tiling._replace(overlap=overlap_for(tiling.overlap, self._reaches[direction], multiple, nets))

    def of_batch(self, data: dict) -> tuple[dict, list]:
        """(name -> images, paths) of a data set's batch: the inputs, their translations and, of paired data, the true
        results."""
        translator, opt = self.translator, self.translator.opt
        side = source_side(opt) if source_side(opt) in data else "A"
        tiling = Tiling(opt.tile, opt.tile_overlap, opt.tile_samples)
        made = self.translate(data[side], translator.condition_for(None), tiling)
        other = "B" if side == "A" else "A"
        visuals = {f"real_{side}": data[side], f"fake_{other}": made}
        if is_paired(data):
            visuals[f"real_{other}"] = data[other]
        return visuals, data[f"{side}_paths"]
