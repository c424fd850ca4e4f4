"""A buffer of earlier fakes, so that a critic also meets what the translator used to do.

A. Shrivastava, T. Pfister, O. Tuzel, J. Susskind, W. Wang, R. Webb,
"Learning from Simulated and Unsupervised Images through Adversarial Training", CVPR 2017, section 2.3.
"""

import random

import torch


class ImagePool:
    """Holds up to `pool_size` single images; 0 switches it off."""

    def __init__(self, pool_size):
        if pool_size < 0:
            raise ValueError(f"pool_size {pool_size}: give 0 (no pool) or the number of images to keep")
        self.pool_size = pool_size
        self.images = []  # each (1, C, H, W), detached

    def query(self, images):
        """As many images as came in, (N, C, H, W): half of them, once the pool is full, older ones.

        With a pool size of 0 it is the same object, gradients and all; else the answer is detached. The draws come
        from Python's ``random``, two at most per image.
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
            return image  # an older one of another size has no place in this batch
        self.images[index] = image.clone()
        return older.to(image.device)  # after a resume it may still lie where the state file was read

    def state_dict(self):
        return {"images": list(self.images)}

    def load_state_dict(self, state):
        """A pool made smaller since keeps the first images, a larger one goes on filling."""
        self.images = [image.detach() for image in state["images"][: self.pool_size]]
