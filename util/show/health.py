"""Signs that a training runs but learns nothing. Looked for where losses and pictures are shown; each is said once.

flat input            a picture of the data in which every pixel is alike
a critic that has won its losses stay at zero, so the generator learns nothing from it
one answer for all    the generated picture stays the same while the input changes
"""

import re

import torch
from torch.nn.functional import interpolate

from util.run.watch import paths_of, shown

NOTHING = 1e-3  # a loss, or a difference between pictures in [-1, 1]: below it there is none
DIFFERENT = 0.02  # mean difference between two inputs that are two pictures
LOSSES_IN_A_ROW = 30
PICTURES_IN_A_ROW = 5
SIZE = 32  # pictures are compared this small


class Health:
    """``losses()`` and ``pictures()`` at the points where they are shown; `warn` takes a line."""

    def __init__(self, warn):
        self.warn = warn
        self._said = set()
        self._at_zero = {}  # critic -> points in a row
        self._before = {}  # label -> small picture, as shown last
        self._alike = {}  # label -> times in a row

    def losses(self, losses):
        for critic, value in critics(losses).items():
            self._at_zero[critic] = self._at_zero.get(critic, 0) + 1 if value < NOTHING else 0
            if self._at_zero[critic] == LOSSES_IN_A_ROW:
                self._say(
                    f"won {critic}",
                    f"the loss of {critic} has been below {NOTHING} at the last {LOSSES_IN_A_ROW} printed points: it "
                    "has won, and the generator learns nothing from it; try a lower --lr, a smaller --ndf or another "
                    "--gan_mode",
                )

    def pictures(self, visuals, data):
        now = {label: picture.detach() for label, picture in visuals.items() if is_batch(picture)}
        for label, picture in now.items():
            if label.startswith("real") and (picture.amax((1, 2, 3)) == picture.amin((1, 2, 3))).any():
                self._say(
                    "flat",
                    f"{label} is one flat colour in a batch of {shown(paths_of(data))}; "
                    "python scripts/check_data.py finds such images",
                )
        now = {label: small(picture) for label, picture in now.items()}
        before, self._before = self._before, now
        inputs = [label for label in now if label.startswith("real")]
        if inputs and all(differ(now, before, label, DIFFERENT) for label in inputs):
            self._answers(now, before)

    def _answers(self, now, before):
        for label in now:
            if not label.startswith("fake") or label not in before or before[label].shape != now[label].shape:
                continue
            self._alike[label] = 0 if differ(now, before, label, NOTHING) else self._alike.get(label, 0) + 1
            if self._alike[label] == PICTURES_IN_A_ROW:
                self._say(
                    f"same {label}",
                    f"{label} is the same picture for different inputs, {PICTURES_IN_A_ROW} times now: the generator "
                    "has collapsed; try a lower --lr, or start anew with another --seed",
                )

    def _say(self, key, text):
        if key not in self._said:
            self._said.add(key)
            self.warn(text)


def critics(losses):
    """{critic: mean of the sizes of its losses on real and generated images}, without penalties and classifiers."""
    parts = {}
    for name, value in losses.items():
        if match := re.fullmatch(r"(D(?:_(?!real$|fake$)\w+?)?)(?:[_/](?:loss_)?(?:real|fake))?", name):
            parts.setdefault(match[1], []).append(abs(value))
    return {critic: sum(values) / len(values) for critic, values in parts.items()}


def is_batch(picture):
    return isinstance(picture, torch.Tensor) and picture.dim() == 4 and picture.is_floating_point()


def small(picture):
    """(3, 32, 32) of the first picture of a batch, on the CPU."""
    return interpolate(picture[:1].float(), (SIZE, SIZE), mode="area")[0].cpu()


def differ(now, before, label, least):
    if label not in before or before[label].shape != now[label].shape:
        return False
    return bool((now[label] - before[label]).abs().mean() >= least)
