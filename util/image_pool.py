"""A buffer of earlier generated images, so that the discriminator is also trained on images of earlier generators.

A. Shrivastava, T. Pfister, O. Tuzel, J. Susskind, W. Wang, R. Webb,
"Learning from Simulated and Unsupervised Images through Adversarial Training", CVPR 2017, section 2.3.
"""

import random

import torch


class ImagePool:
    """Holds up to `pool_size` single images; 0 switches it off."""

    def __init__(self, pool_size: int):
        if pool_size < 0:
            raise ValueError(f"pool_size {pool_size}: give 0 (no pool) or the number of images to keep")
        self.pool_size = pool_size
        self.images: list[torch.Tensor] = []  # each (1, C, H, W), detached

    def query(self, images: torch.Tensor) -> torch.Tensor:
        """Return a batch of the same size (N, C, H, W); once the pool is full, each image is an older one with p = 0.5.

        With a pool size of 0 the input itself is returned, with its gradients; otherwise the result is detached.
        The draws use Python's ``random``, at most two per image.
        """
        if self.pool_size == 0:
            return images
        return torch.cat([self._exchange(image[None], alone=len(images) == 1) for image in images.detach()])

    def _exchange(self, image, alone):
        if len(self.images) < self.pool_size:
            self.images.append(image.clone())  # a view would keep its whole batch alive
            return image
        if random.uniform(0, 1) <= 0.5:
            return image
        index = random.randint(0, self.pool_size - 1)
        older = self.images[index]
        if not alone and older.shape != image.shape:
            return image  # images of different sizes cannot be concatenated
        self.images[index] = image.clone()
        return older.to(image.device)  # after a resume the pool may still be on the CPU

    def state_dict(self) -> dict[str, list[torch.Tensor]]:
        return {"images": list(self.images)}

    def load_state_dict(self, state: dict[str, list[torch.Tensor]]) -> None:
        """Restore the images; if `pool_size` is smaller than at the save, only the first images are kept."""
        self.images = [image.detach() for image in state["images"][: self.pool_size]]
