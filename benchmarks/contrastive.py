"""What a training step of the contrastive models costs: multiply-adds, and seconds against the same code undone.

    python benchmarks/contrastive.py --size 128 --rounds 7

Each round times every variant of every model once, and the machine's convolution rate, so that a slow minute of the
machine falls on all of them; medians over the rounds. The variants:

    economies   as trained
    without     --economies no: every pass as the originals run it
    published   that, and cosines by broadcasting over (P, P, channels), as the originals of DCLGAN and SimDCL have it

The floor is the multiply-adds of "without", which are the originals', at the rate of a 3x3 convolution of 256 channels.
"""

import argparse
import contextlib
import functools
import io
import statistics
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from models import create_model, prepare
from models.losses import MASKED, CosinePatchNCELoss
from options.train_options import TrainOptions

MODELS = ("cut", "fastcut", "dclgan", "simdcl")
VARIANTS = ("economies", "without", "published")


class BroadcastCosines(CosinePatchNCELoss):
    """The cosine of every pair by itself, as published."""

    def forward(self, feat_q, feat_k, batch_size=None):
        cosines = F.cosine_similarity(feat_q[:, None], feat_k.detach()[None], dim=-1)  # (P, P) by way of (P, P, C)
        own = cosines.diagonal()[:, None]
        others = cosines.masked_fill(torch.eye(len(cosines), dtype=torch.bool, device=cosines.device), MASKED)
        logits = torch.cat((own, others), 1) / self.temperature
        return F.cross_entropy(
            logits, torch.zeros(len(logits), dtype=torch.long, device=logits.device), reduction="none"
        )


def build(name, variant, size, device, words):
    economies = "yes" if variant == "economies" else "no"
    command = ["--dataroot", "none", "--model", name, "--economies", economies, "--seed", "0", "--device", device]
    with contextlib.redirect_stdout(io.StringIO()):
        opt = TrainOptions([*command, "--load_size", str(size), "--crop_size", str(size), *words]).parse()
        model = create_model(opt)
        prepare(model, [], opt)
    if variant == "published" and isinstance(model.criterionNCE, CosinePatchNCELoss):
        model.criterionNCE = BroadcastCosines(opt)
    return model


def feed(model, size, device):
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(2, model.opt.batch_size, 3, size, size, generator=generator) * 2 - 1
    model.set_input({"A": images[0].to(device), "B": images[1].to(device), "A_paths": ["a"], "B_paths": ["b"]})


def backward_only(model, optimizers, loss_function, frozen=()):
    """A step without its update, which needs numbers."""
    model.set_requires_grad(frozen, False)
    loss_function().backward()
    model.set_requires_grad(frozen, True)


def multiply_adds(name, variant, size, words):
    """Of a step, convolutions and matrix products, on the meta device; mean of both falls of FastCUT's coin."""
    model = build(name, variant, size, "cpu", words)
    model.device = torch.device("meta")
    for net in model.networks_by_name().values():
        net.to("meta")
    model.criterionGAN.to("meta")
    model.step = functools.partial(backward_only, model)
    feed(model, size, "meta")
    counts = []
    for flipped in (False, True):
        model.draw_flip = lambda flipped=flipped: flipped
        with FlopCounterMode(display=False) as counter:
            model.optimize_parameters()
        counts.append(counter.get_total_flops() / 2)
    return sum(counts) / 2


def seconds(function, options):
    clock = time.process_time if options.clock == "cpu" else time.perf_counter
    wait = torch.cuda.synchronize if options.device.startswith("cuda") else lambda: None
    wait()
    start = clock()
    function()
    wait()
    return clock() - start


def second_of_two(function, options):
    """The first call after another model's finds its memory given back to the system; training does not."""
    seconds(function, options)
    return seconds(function, options)


def make_convolution(device):
    """(forward and backward of the reference convolution, its multiply-adds)"""
    conv = torch.nn.Conv2d(256, 256, 3, padding=1, device=device)
    x = torch.randn(1, 256, 64, 64, device=device, requires_grad=True)

    def run():
        conv(x).sum().backward()

    return run, 3 * 64 * 64 * 256 * 256 * 9


def measure(options):
    convolution, work = make_convolution(options.device)
    steps, times, rates = {}, {}, []
    for name in options.models:
        for variant in VARIANTS:
            model = build(name, variant, options.size, options.device, options.words)
            feed(model, options.size, options.device)
            model.optimize_parameters()  # allocations, and Adam's state
            steps[name, variant] = model.optimize_parameters
            times[name, variant] = []
    for number in range(options.rounds):
        for (name, variant), step in steps.items():
            # The coin falls once a round, alike for every variant.
            step.__self__.draw_flip = lambda flipped=number % 2 == 1: flipped
            rates.append(work / second_of_two(convolution, options))
            times[name, variant].append(second_of_two(step, options))
    return {key: statistics.median(values) for key, values in times.items()}, statistics.median(rates)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=MODELS, choices=MODELS)
    parser.add_argument("--size", type=int, default=128, help="side of the images whose steps are timed")
    parser.add_argument("--count_size", type=int, default=256, help="side of the images for the multiply-adds")
    parser.add_argument("--rounds", type=int, default=7, help="0: only count")
    parser.add_argument("--threads", type=int, default=0, help="0: as many as torch takes")
    busy = "cpu: seconds of the processor, for a machine that others use too; with --threads 1"
    parser.add_argument("--clock", default="wall", choices=("wall", "cpu"), help=busy)
    parser.add_argument("--device", default="cpu")
    options, options.words = parser.parse_known_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    print(f"multiply-adds of a step at {options.count_size} px, in 1e9: without -> economies")
    for name in options.models:
        before, after = (
            multiply_adds(name, variant, options.count_size, options.words) / 1e9
            for variant in ("without", "economies")
        )
        print(f"  {name:8} {before:8.1f} -> {after:8.1f}  ({after / before - 1:+.1%})")
    if not options.rounds:
        return
    times, rate = measure(options)
    print(f"seconds of a step at {options.size} px, median of {options.rounds}; {rate / 1e9:.1f}e9 multiply-adds/s")
    for name in options.models:
        floor = multiply_adds(name, "without", options.size, options.words) / rate
        row = "  ".join(f"{v} {times[name, v]:6.3f} ({times[name, v] / floor:.2f} floors)" for v in VARIANTS)
        saved = times[name, "economies"] / times[name, "without"]
        print(f"  {name:8} floor {floor:6.3f}  {row}  economies/without {saved:.3f}")


if __name__ == "__main__":
    main()
