"""--accumulate N: a step's batch goes through the networks in N parts, whose gradients add up to those of the whole.

Only one part's graph is in memory at a time. Where the critic moves before the generator, the generator's forward pass
is made for the critic's step (without a graph) and once more for its own: that is what the memory costs. Images that
don't see each other are treated as in one batch; batch norm and dropout see a part at a time.
"""

import torch

from util.numerics import seeding
from util.run.loss_means import current_losses


class Parts:
    """Mixed into BaseModel. A page whose step may be cut in parts says so by ``in_parts = True``."""

    in_parts = False

    _parts = None  # of the running step's batch: the attributes that are as long as the batch, a dict for each

    def run_forward(self):
        """forward(), or with --accumulate the preparation for running it part by part."""
        if getattr(self.opt, "accumulate", 1) == 1:
            self.forward()
            return
        images = len(self.image_paths)
        long = {name: value for name, value in vars(self).items() if isinstance(value, torch.Tensor) and value.dim()}
        long = {name: value for name, value in long.items() if len(value) == images}
        long["image_paths"] = self.image_paths
        size = self.opt.batch_size
        self._parts = [{name: value[i : i + size] for name, value in long.items()} for i in range(0, images, size)]
        self._made = [None] * len(self._parts)  # what the generators made of each, without graphs

    def parts(self, optimizers):
        """Makes each part in turn the model's batch; yields (its share of the images, whether it is the last)."""
        if self._parts is None:
            yield 1, True
            return
        images = sum(len(part["image_paths"]) for part in self._parts)
        before, sums = current_losses(self), {}
        for number, part in enumerate(self._parts):
            vars(self).update(part)
            self._run(number, self._teach_generators(optimizers))
            share = len(part["image_paths"]) / images
            yield share, number == len(self._parts) - 1
            for name, value in current_losses(self).items():
                if value is not before.get(name):  # a term of this step
                    sums[name] = sums.get(name, 0) + (value.detach() if torch.is_tensor(value) else value) * share
        for name, value in sums.items():
            setattr(self, "loss_" + name.replace("/", "_"), value)
        vars(self).update({**self._parts[0], **(self._made[0] or {})})  # for the pictures: all of one part

    def _run(self, number, learns):
        """forward() of a part; for critics that move after the generators it has been made already."""
        if not learns and self._made[number] is not None:
            vars(self).update(self._made[number])
            return
        seeding.seed_part(number)
        with torch.set_grad_enabled(learns):
            self.forward()
        if learns:
            made = {name: value for name, value in vars(self).items() if torch.is_tensor(value) and value.dim() == 4}
            self._made[number] = {name: value.detach() for name, value in made.items() if value.requires_grad}

    def _teach_generators(self, optimizers):
        held = {id(p) for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]}
        nets = self.networks_by_name()
        return any(id(p) in held for name in nets if name.startswith("G") for p in nets[name].parameters())
