"""A buffer of earlier generated images, so that the discriminator is also trained on images of earlier generators.

A. Shrivastava, T. Pfister, O. Tuzel, J. Susskind, W. Wang, R. Webb,
"Learning from Simulated and Unsupervised Images through Adversarial Training", CVPR 2017, section 2.3.
"""

import random

import torch

from util.numerics import capturing


class ImagePool:
    """Holds up to `pool_size` single images; 0 switches it off.

    With `in_slots` set, for --capture, the images are in one tensor on their device, and the operations of a query do
    not depend on the random draws, which are indices in a tensor. The results are the same.
    """

    in_slots = False
    slots: torch.Tensor | None  # (pool_size + 1, C, H, W); the last slot is for images that are not kept

    def __init__(self, pool_size: int):
        if pool_size < 0:
            raise ValueError(f"pool_size {pool_size}: give 0 (no pool) or the number of images to keep")
        self.pool_size = pool_size
        self.images = []

    @property
    def images(self) -> list[torch.Tensor]:
        """Each (1, C, H, W), detached."""
        if self.slots is None:
            return self._images
        return list(self.slots[: self._count].split(1))

    @images.setter
    def images(self, images: list[torch.Tensor]) -> None:
        self._images, self.slots, self.filled = images, None, 0

    @property
    def _count(self) -> int:
        """The number of images in the pool."""
        return len(self._images) if self.slots is None else self.filled

    def query(self, images: torch.Tensor) -> torch.Tensor:
        """Return a batch of the same size (N, C, H, W); once the pool is full, each image is an older one with p = 0.5.

        With a pool size of 0 the input itself is returned, with its gradients; otherwise the result is detached.
        The draws use Python's ``random``, at most two per image.
        """
        if self.pool_size == 0:
            return images
        images = images.detach()
        number = len(images)
        if self.in_slots and self._moved_to_slots(images):
            return self._exchange_in_slots(images, capturing.drawn(lambda: self.plan(number), images.device))
        if self.slots is not None:
            self.images = [image.clone() for image in self.images]
        capturing.refuse()
        return torch.cat([self._exchange(image[None], alone=number == 1) for image in images])

    def _draw(self):
        """(the slot that takes the next image or None, whether the slot's former image is returned instead)."""
        if self._count < self.pool_size:
            return self._count, False
        if random.uniform(0, 1) <= 0.5:
            return None, False
        return random.randint(0, self.pool_size - 1), True

    def _exchange(self, image, alone):
        slot, returns_older = self._draw()
        if slot is None:
            return image
        if not returns_older:
            self.images.append(image.clone())  # a view would keep its whole batch alive
            return image
        older = self.images[slot]
        if not alone and older.shape != image.shape:
            return image  # images of different sizes cannot be concatenated
        self.images[slot] = image.clone()
        return older.to(image.device)  # after a resume the pool may still be on the CPU

    # --- in slots ----------------------------------------------------------------------------------------------------

    def _moved_to_slots(self, images):
        """Move the pool's images into slots if they and `images` have one shape; returns whether `images` fit."""
        if self.slots is None and all(image.shape == images[:1].shape for image in self._images):
            slots = images.new_zeros((self.pool_size + 1, *images.shape[1:]))
            for slot, image in zip(slots, self._images):
                slot.copy_(image[0])
            self.filled, self.slots, self._images = len(self._images), slots, []
        return self.slots is not None and self.slots.shape[1:] == images.shape[1:]

    def plan(self, number: int) -> torch.Tensor:
        """Draw for a query of `number` images and update `filled`; returns integers (4, number).

        Rows: the slot from which an image of the result is read; 1 if it is read from the slot, 0 if it is an image of
        the query; the index of this image in the query; the slot to which the image of the query is written.
        """
        unused = self.pool_size
        rows: list[list[int]] = []
        held: dict[int, int] = {}  # slot -> the image of this query that is in it
        for image in range(number):
            slot, returns_older = self._draw()
            row = [0, 0, image, unused if slot is None else slot]
            if returns_older:
                row[:3] = [0, 0, held[slot]] if slot in held else [slot, 1, image]
            elif slot is not None:
                self.filled += 1
            if slot in held:
                rows[held[slot]][3] = unused  # overwritten within the query
            if slot is not None:
                held[slot] = image
            rows.append(row)
        return torch.tensor(rows).T.contiguous()

    def _exchange_in_slots(self, images, plan):
        read, older, own, write = plan.unbind()
        kept = images.index_select(0, own) if len(images) > 1 else images
        answer = torch.where(older.bool()[:, None, None, None], self.slots.index_select(0, read), kept)
        self.slots.index_copy_(0, write, images)
        return answer.contiguous()

    def state_dict(self) -> dict[str, list[torch.Tensor]]:
        return {"images": list(self.images) if self.slots is None else [image.clone() for image in self.images]}

    def load_state_dict(self, state: dict[str, list[torch.Tensor]]) -> None:
        """Restore the images; if `pool_size` is smaller than at the save, only the first images are kept."""
        self.images = [image.detach() for image in state["images"][: self.pool_size]]
