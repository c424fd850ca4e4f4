"""Warns of a training that runs but learns nothing. Checked whenever losses or images are shown; each is warned once.

flat input          an image of the data in which all pixels are equal
discriminator won   the losses of the discriminator stay at zero, so the generator learns nothing from it
collapse            the generated image stays the same while the input changes
"""

from collections.abc import Callable

import torch
from torch.nn.functional import interpolate

from util.run.watch import Listener, paths_of, shown

NOTHING = 1e-3  # a loss, or a difference between images in [-1, 1], below this value counts as zero
DIFFERENT = 0.02  # smallest mean difference at which two inputs count as different images
LOSSES_IN_A_ROW = 30
PICTURES_IN_A_ROW = 5
SIZE = 32  # side in pixels at which images are compared


class Health(Listener):
    """Checks the losses and images that a model declares; `warn` prints a line.

    discriminator_losses    {network: names of its losses on real and generated images}
    translations            {label of a generated image: (label of its input, of a real image of its domain or None)}
    """

    def __init__(
        self,
        warn: Callable[[str], None],
        discriminator_losses: dict[str, tuple[str, ...]],
        translations: dict[str, tuple[str, str | None]],
    ):
        self.warn = warn
        self.discriminator_losses, self.translations = discriminator_losses, translations
        self._real = {label for pair in translations.values() for label in pair}
        self._reported: set[str] = set()
        self._at_zero: dict[str, int] = {}  # discriminator -> printed points in a row
        self._before: dict = {}  # label -> small copy of the last image shown
        self._alike: dict[str, int] = {}  # label -> times in a row that the image was the same

    def losses(self, losses):
        for name, value in mean_sizes(losses, self.discriminator_losses).items():
            self._at_zero[name] = self._at_zero.get(name, 0) + 1 if value < NOTHING else 0
            if self._at_zero[name] == LOSSES_IN_A_ROW:
                self._warn_once(
                    f"won {name}",
                    f"the loss of {name} has been below {NOTHING} the last {LOSSES_IN_A_ROW} times it was printed: "
                    f"{name} has won, and the generator learns nothing from it; try a lower --lr, a smaller --ndf or "
                    "another --gan_mode",
                )

    def images(self, visuals, data):
        now = {label: picture.detach() for label, picture in visuals.items() if is_batch(picture)}
        for label, picture in now.items():
            if label in self._real and (picture.amax((1, 2, 3)) == picture.amin((1, 2, 3))).any():
                self._warn_once(
                    "flat",
                    f"{label} has the same colour in all pixels of an image of {shown(paths_of(data))}; python "
                    "scripts/check_data.py finds such images",
                )
        now = {label: small(picture) for label, picture in now.items()}
        before, self._before = self._before, now
        for label, (source, _) in self.translations.items():
            if comparable(now, before, label) and differ(now, before, source, DIFFERENT):
                self._compare(now, before, label)

    def _compare(self, now, before, label):
        self._alike[label] = 0 if differ(now, before, label, NOTHING) else self._alike.get(label, 0) + 1
        if self._alike[label] == PICTURES_IN_A_ROW:
            self._warn_once(
                f"same {label}",
                f"{label} was the same image for different inputs {PICTURES_IN_A_ROW} times in a row: the generator "
                "has collapsed; try a lower --lr, or start anew with another --seed",
            )

    def _warn_once(self, key, text):
        if key not in self._reported:
            self._reported.add(key)
            self.warn(text)


def mean_sizes(losses, discriminator_losses):
    """{discriminator: mean absolute value of its declared losses}, if all of them were printed."""
    return {
        network: sum(abs(losses[name]) for name in names) / len(names)
        for network, names in discriminator_losses.items()
        if names and all(name in losses for name in names)
    }


def is_batch(picture):
    return isinstance(picture, torch.Tensor) and picture.dim() == 4 and picture.is_floating_point()


def small(picture):
    """The first image of a batch, scaled to (C, 32, 32), on the CPU."""
    return interpolate(picture[:1].float(), (SIZE, SIZE), mode="area")[0].cpu()


def comparable(now, before, label):
    return label in now and label in before and before[label].shape == now[label].shape


def differ(now, before, label, least):
    return comparable(now, before, label) and bool((now[label] - before[label]).abs().mean() >= least)
