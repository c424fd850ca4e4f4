"""The training step of the original programs, as the reference for the steps of Metamer.

Each batch has its own pass, every network is a chain of torch's own layers, losses and updates are computed one after
the other, and nothing is shared, computed ahead or left out: keys are encoded again, StarGAN's second image is
generated again, and the host waits for the device where it does in the originals. Adam is torch.optim.Adam with its
default implementation, which on CUDA updates all parameters in a few calls. The precision is PyTorch's default, see
tf32().

The networks and their weights are those of one of our models, so that losses can be compared (tests/benchmarks).
"""

import contextlib
import functools

import torch
import workload
from reference_contrastive import CUT, DCLGAN, SimDCL
from reference_stargan import StarGAN
from reference_steps import CycleGAN, Pix2Pix

from util.numerics import seeding

STEPS = {
    **{"pix2pix": Pix2Pix, "cycle_gan": CycleGAN, "stargan": StarGAN},
    **{"cut": CUT, "fastcut": CUT, "dclgan": DCLGAN, "simdcl": SimDCL},
}


# Flags of how our step is computed, which the originals lack.
OURS = (
    *("precision", "channels_last", "compile", "capture", "economies", "deterministic"),
    *("grad_checkpoint", "accumulate", "separate_gp"),
)


class ReferenceTraining(workload.Training):
    """A model in training, whose step is the original's."""

    def __init__(self, setting, words, device):
        super().__init__(setting, fitting(words), device)
        flips = self.cycle == 2
        self.model = STEPS[setting.model](self.model)
        if flips:  # heads and tails by turns, as in Training
            self.model.draw_flip = lambda: self.steps_done % 2 == 1

    def step(self):
        seeding.seed_step(0, self.steps_done)
        self.model.set_input(self.batch)
        self.model.optimize_parameters()
        self.steps_done += 1

    def steps(self, number):
        with as_the_originals():
            for _ in range(number):
                self.step()


def fitting(words):
    """Of a command line the flags that the originals' step has: those that change what is computed, and not how."""
    return workload.picked(words, lambda flag: flag not in OURS)


def count(setting, words):
    """Multiply-adds of the originals' step in convolutions and matrix products, the mean of a cycle."""
    return _count(setting, tuple(fitting(words)))


@functools.cache
def _count(setting, words):
    return workload.count_steps(without_waiting(setting, words)).total


def without_waiting(setting, words):
    """A ReferenceTraining on the CPU whose step needs no numbers: what the host would wait for is left out."""
    training = ReferenceTraining(setting, words, "cpu")
    training.model.waits = False
    for optimizer in training.model.optimizers:
        optimizer.param_groups[0]["foreach"] = True  # torch's default on CUDA
    return training


@contextlib.contextmanager
def as_the_originals():
    """cuDNN's search for kernels; the switches for TF32 stay at PyTorch's defaults."""
    cudnn = torch.backends.cudnn
    before, cudnn.benchmark = cudnn.benchmark, True
    try:
        yield
    finally:
        cudnn.benchmark = before


def tf32():
    """PyTorch's default precision, which the reference step has, in words."""
    words = {True: "TF32", False: "float32"}
    convolutions, products = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    return f"on CUDA convolutions in {words[convolutions]}, matrix products in {words[products]} (PyTorch's defaults)"
