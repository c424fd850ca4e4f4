"""The measured training: a model built from a command line, trained on noise, and its multiply-adds.

The floor of a step is the time of its multiply-adds at the rate of a 3x3 convolution from 256 to 256 channels on maps
of 64x64, forward and backward: no step of convolutions is much faster.
"""

import collections
import contextlib
import functools
import re
import shlex
import tempfile
from typing import NamedTuple
from unittest import mock

import harness
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from models import captured_step, create_model, prepare
from options.train_options import TrainOptions
from util.numerics import seeding
from util.numerics.compiling import OFTEN, begin_step
from util.numerics.memory import keep_freed_memory
from util.numerics.precision import backend_precision, backend_tuning

# Side of the images and images in a batch, unless --models says more: name@size or name@sizexbatch.
USUAL = {"pix2pix": (256, 1), "cycle_gan": (128, 1), "stargan": (128, 4)}
MODELS = ("pix2pix", "cycle_gan", "cut", "fastcut", "dclgan", "simdcl", "stargan")

# What changes how a step is computed, and not what; a count of multiply-adds needs none of it.
PLAIN = {"precision": "fp32", "channels_last": "no", "compile": "none", "capture": "no"}


class Setting(NamedTuple):
    """A model at a size: ``cycle_gan@256x8``."""

    model: str
    size: int
    batch: int

    @classmethod
    def parse(cls, text):
        found = re.fullmatch(r"(\w+?)(?:@(\d+)(?:x(\d+))?)?", text)
        if not found:
            raise ValueError(f"'{text}': write name, name@size or name@sizexbatch, as in cycle_gan@256x8")
        size, batch = USUAL.get(found[1], (128, 1))
        return cls(found[1], int(found[2] or size), int(found[3] or batch))

    def __str__(self):
        return f"{self.model}@{self.size}" + (f"x{self.batch}" if self.batch > 1 else "")

    def words(self):
        """The command line of a training of this setting, without data."""
        sizes = ["load_size", "crop_size"] if "image_size" not in flags_of(self.model) else ["image_size"]
        words = ["--dataroot", "none", "--model", self.model, "--batch_size", str(self.batch), "--seed", "0"]
        return [*words, *(word for flag in sizes for word in ("--" + flag, str(self.size)))]


@functools.cache
def flags_of(model):
    """Names of the flags that a training of the model has."""
    options = TrainOptions(["--dataroot", "none", "--model", model])
    options.gather_options()
    return options.parser.names()


def flags_in(words):
    """Names of the flags on a command line."""
    return [word.lstrip("-").split("=")[0] for word in words if word.startswith("--")]


def variants(texts):
    """(name, words) from texts such as ``fast=--precision bf16``."""
    return [(name, shlex.split(words)) for name, _, words in (text.partition("=") for text in texts)]


keep_freed_memory()  # as train.py does


def build(setting, words, device):
    """The model of a command line, ready to train."""
    with harness.quietly(), tempfile.TemporaryDirectory() as folder:
        where = ["--checkpoints_dir", folder, "--device", device]
        opt = TrainOptions([*setting.words(), *where, *words]).parse()
        seeding.seed_build(opt.seed)
        model = create_model(opt)
        prepare(model, [], opt)
    return model


def noise(model, size, device):
    """A batch of noise for any built-in model, with images on the device and labels on the CPU."""
    opt, generator = model.opt, torch.Generator().manual_seed(0)
    images = opt.batch_size * opt.accumulate
    A, B = (torch.rand(images, 3, size, size, generator=generator).to(device) * 2 - 1 for _ in "AB")
    paths = [f"{number}.png" for number in range(images)]
    batch = {"A": A, "B": B, "A_paths": paths, "B_paths": paths}
    if hasattr(opt, "c_dim"):
        batch["label"] = torch.randint(2, (images, opt.c_dim), generator=generator).float()
    return batch


@contextlib.contextmanager
def precision_of(opt):
    """The settings of CUDA and cuDNN that the programs make for a whole run; here variants alternate."""
    with backend_precision(opt.precision), backend_tuning(opt):
        yield


class Training:
    """A model and its batch. Steps differ with the period ``cycle``, for example n_critic."""

    def __init__(self, setting, words, device):
        self.model = build(setting, words, device)
        self.batch = noise(self.model, setting.size, device)
        opt = self.model.opt
        flips = getattr(opt, "flip_equivariance", False)
        self.cycle = 2 if flips else getattr(opt, "n_critic", 1)
        self.steps_done = 0
        if flips:  # heads and tails by turns, so that every variant gets as many of both
            self.model.draw_flip = lambda: self.steps_done % 2 == 1

    def step(self):
        """One step; only steps() sees to its precision."""
        seeding.seed_step(0, self.steps_done)
        begin_step(self.model.opt.compile, self.model.device)
        self.model.set_input(self.batch)
        self.model.optimize_parameters()
        self.model._updates.take()  # what the loop does with it is not part of the step
        self.steps_done += 1

    def steps(self, number):
        with precision_of(self.model.opt):
            for _ in range(number):
                self.step()

    def warm_up(self):
        """Make steps until kernels are chosen, shapes compiled and graphs recorded."""
        opt, usual = self.model.opt, 4 if self.model.device.type == "cuda" else 1
        if opt.capture == "yes":
            self.steps(captured_step.steps_before_replays(opt.compile) * self.cycle)
        elif opt.compile != "none":
            # A shape that is not a network's first is compiled when it comes for the OFTEN-th time, once in a cycle.
            self.steps((OFTEN + usual) * self.cycle)
        else:
            self.steps(self.whole_cycles(usual))

    def whole_cycles(self, steps):
        """`steps` rounded up to whole cycles."""
        return -(-steps // self.cycle) * self.cycle


class Shape(tuple):
    """Of a tensor among the arguments of an operation."""


class MultiplyAdds(TorchDispatchMode):
    """Counts the multiply-adds of convolutions and matrix products in this context, by torch's own formulas.

    ``calls`` {(operation, its arguments, with a Shape for each tensor): number} are these operations.

    Not torch's FlopCounterMode: its hooks on modules stand in the way of gradients of gradients.
    """

    total = 0

    def __init__(self):
        super().__init__()
        self.calls = collections.Counter()

    def __torch_dispatch__(self, function, types, arguments=(), named=None):
        result = function(*arguments, **(named or {}))
        if function._overloadpacket in flop_registry:
            self.total += flop_registry[function._overloadpacket](*arguments, **(named or {}), out_val=result) / 2
            self.calls[function, tuple(map(shape_of, arguments))] += 1
        return result


def shape_of(value):
    if isinstance(value, torch.Tensor):
        return Shape(value.shape)
    return tuple(value) if isinstance(value, list) else value


def count(setting, words):
    """Multiply-adds of a step in convolutions and matrix products, the mean of a cycle, from the meta device."""
    return operations(setting, words).total


def operations(setting, words):
    """The MultiplyAdds of a step, the mean of a cycle."""
    flags = flags_of(setting.model)
    plain = [word for flag, value in PLAIN.items() if flag in flags for word in ("--" + flag, value)]
    return _count(setting, (*picked(words, lambda flag: flag not in PLAIN), *plain))


def picked(words, wanted):
    """The flags of a command line for whose names `wanted` is true, with their values."""
    kept, keeping = [], False
    for word in words:
        if word.startswith("--"):
            keeping = wanted(flags_in([word])[0])
        if keeping:
            kept.append(word)
    return kept


def to_meta(model):
    """Move a model from the CPU to the meta device, where a step computes only shapes."""
    model.device = torch.device("meta")
    made = {}
    for net in model.networks_by_name().values():
        before = list(net.parameters())
        net.to("meta")
        made.update(zip(before, net.parameters()))
        if hasattr(net, "generator"):
            net.generator = None  # of random numbers: there is none for this device
    for optimizer in model.optimizers:
        for group in optimizer.param_groups:
            group["params"] = [made[parameter] for parameter in group["params"]]
    if hasattr(model, "criterionGAN"):
        model.criterionGAN.to("meta")


@functools.cache
def _count(setting, words):
    return count_steps(Training(setting, words, "cpu"))


def count_steps(training):
    """The MultiplyAdds of a step of a model on the CPU, which is moved to the meta device, the mean of a cycle."""
    to_meta(training.model)
    training.batch = {key: value.to("meta") if key in "AB" else value for key, value in training.batch.items()}
    # Shapes without numbers are neither finite nor not. As if not, the optimizers leave them alone.
    finite = mock.patch("util.numerics.finite.not_finite", lambda tensors: torch.ones(()))
    with finite, MultiplyAdds() as counter:
        training.steps(training.cycle)
    counter.total /= training.cycle
    counter.calls = {call: number / training.cycle for call, number in counter.calls.items()}
    return counter
