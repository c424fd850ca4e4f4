"""--display_samples: a few fixed images that are translated whenever images are shown, so that progress is visible.

They are drawn once by seed, from the phase val, else test, else train, and stored by path in <run>/samples.json.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import json
import os
from argparse import Namespace
from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import default_collate

from util.errors import InputError
from util.files import write_text
from util.numerics import seeding
from util.run.batch_slices import is_paired
from util.run.watch import Listener, paths_of

FILE = "samples.json"
PHASES = ("val", "test")
# Options of a data set of another phase: every image once, in order, without random changes.
STILL = {"isTrain": False, "serial_batches": True, "no_flip": True, "max_dataset_size": float("inf")}


class FixedSamples(Listener):
    """Translates the samples on rank 0 and passes the images to the visualizer.

    The training is not affected: the attributes of the model, the buffers of its networks and all random generators
    are restored.
    """

    def __init__(self, opt: Namespace, model: Any, dataset: Any, visualizer: Any) -> None:
        """`dataset` is the training's data loader (data.create_dataset)."""
        self.model, self.opt, self.visualizer = model, opt, visualizer
        folder = os.path.join(opt.checkpoints_dir, opt.name)
        self.items: list[dict] = []
        try:
            with seeding.restored():
                self.items = find_items(opt, dataset, os.path.join(folder, FILE)) if opt.display_samples else []
        except Exception as error:  # an image that cannot be read, a data set that needs flags of a test
            reason = str(error) if isinstance(error, InputError) else repr(error)
            visualizer.write(f"--display_samples: no sample could be read ({reason}); no samples are shown")
        if self.items:
            paths = ", ".join(dict.fromkeys(path for item in self.items for path in paths_of(item)[:1]))
            visualizer.write(f"--display_samples: {paths}")

    def images(self, visuals, data):
        if not self.items:
            return
        try:
            pictures = [self._pictures(number) for number in range(len(self.items))]
        except Exception as error:  # a plug-in may need more than an image; samples must never stop a training
            name = type(self.model).__name__
            self.visualizer.write(
                f"--display_samples: {name}.translate() fails on a sample ({error!r}); no samples are shown"
            )
            self.items = []
            return
        self.visualizer.display_samples(pictures)

    def _pictures(self, number: int) -> dict[str, torch.Tensor]:
        """label -> (1, C, H, W): the input, its translations, and the truth if the data set has it."""
        item, opt = self.items[number], self.opt
        source, other = ("A", "B") if opt.direction == "AtoB" or "B" not in item else ("B", "A")
        with self._restoring_model(), torch.no_grad():
            seeding.seed_item(opt.seed or 0, 0, number)  # dropout draws the same numbers at every display
            condition_of = getattr(self.model, "condition_of", None)  # of a model that reads the labels of the data
            known: dict = condition_of(item) if condition_of else {}
            pictures = {"real_A": item[source], **self._translate(item[source], **known)}
            if is_paired(item):
                pictures["real_B"] = item[other]
            elif other in item and "direction" in inspect.signature(self.model.translate).parameters:
                back = "BtoA" if opt.direction == "AtoB" else "AtoB"
                pictures |= {"real_B": item[other], **self._translate(item[other], direction=back)}
        return pictures

    def _translate(self, images, **condition):
        return self.model.translate(images.to(self.model.device), **condition)

    @contextlib.contextmanager
    def _restoring_model(self) -> Iterator[None]:
        attributes = dict(vars(self.model))
        buffers = [buffer for net in self.model.networks_by_name().values() for buffer in net.buffers()]
        values = [buffer.clone() for buffer in buffers]
        try:
            with seeding.restored():
                yield
        finally:
            vars(self.model).clear()
            vars(self.model).update(attributes)
            with torch.no_grad():
                for buffer, value in zip(buffers, values):
                    buffer.copy_(value)


def find_items(opt: Namespace, dataset: Any, path: str) -> list[dict]:
    """The samples as batches of one image; those of samples.json in a resumed run, if its files still exist."""
    stored = _stored(path) if opt.continue_train else None
    for phase in [stored["phase"]] if stored else [*PHASES, opt.phase]:
        images = _open(opt, dataset, phase)
        if images is None:
            continue
        indices = stored["indices"] if stored else _draw(opt, len(images))
        items = [_item(opt, images, index) for index in indices if index < len(images)]
        paths = [paths_of(item) for item in items]
        if stored and paths != stored["paths"]:
            break
        write_text(path, json.dumps({"phase": phase, "indices": indices, "paths": paths}, indent=1) + "\n")
        return items
    if stored:  # the images have changed
        os.remove(path)
        return find_items(opt, dataset, path)
    return []


def _draw(opt, length):
    return sorted(seeding.order(opt.seed or 0, 0, length)[: opt.display_samples])


def _open(opt, dataset, phase):
    """The data set of a phase, or None if it has no such phase. For the phase of the training, the training's own."""
    own = dataset.dataset
    if phase == opt.phase:
        return own
    changed = {"phase": phase, "load_size": opt.crop_size, **STILL}
    with contextlib.suppress(Exception), contextlib.redirect_stdout(io.StringIO()):
        found = type(own)(Namespace(**{**vars(opt), **changed}))
        # A data set without phases gives the same images again. One of a plug-in may fail without the flags of a test.
        return found if len(found) and _item(opt, found, 0) else None
    return None


def _item(opt, images, index):
    seeding.seed_item(opt.seed or 0, 0, index)
    return default_collate([images[index]])


def _stored(path):
    try:
        with open(path, encoding="utf-8") as file:
            stored = json.load(file)
        return {key: stored[key] for key in ("phase", "indices", "paths")}
    except (OSError, ValueError, KeyError, TypeError):
        return None
