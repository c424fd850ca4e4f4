"""The cost of training in several processes: bytes averaged per step, their time on a link, and the remaining speed.

    python benchmarks/scaling.py                                    arithmetic, from the networks at their defaults
    python benchmarks/scaling.py --processes 64 --step 250          of 64 processes, whose step alone takes 250 ms
    python benchmarks/scaling.py --measure --threads 1 --models cycle_gan@128 --ngf 32 --ndf 32
                                                                    2 processes against 1, here

Arithmetic: a step sums a gradient of 4 bytes for each parameter. In a ring every process sends and receives 2 (N - 1) /
N times these bytes. Gradients are sent during the backward pass; the table assumes that half of the step can hide the
transfer. Latencies, about 10 us for each message, are left out.

--measure: in alternating rounds of one launch, the first process trains alone while the other waits, then both train
with sums during the backward pass, and both with sums after it. Further flags are those of train.py.
"""

import sys
import time
from unittest import mock

import harness
import workload
from workload import MODELS, Setting, Training

from util.processes import distributed, session
from util.processes.gradients import GradientMean

# Bytes a second, in one direction.
LINKS = {"NVLink": 450e9, "PCIe 4": 25e9, **{f"{rate} GbE": rate * 1e9 / 8 for rate in (100, 25, 10, 1)}}
HIDING = 0.5  # part of a step in which gradients can be on their way


# --- arithmetic ------------------------------------------------------------------------------------------------------


def bytes_of(setting, words):
    """Bytes of gradients averaged per step; a mean if the discriminator makes several steps per generator step."""
    model = workload.build(setting, words, "cpu")
    sizes = {name: sum(p.nbytes for p in net.parameters()) for name, net in model.networks_by_name().items()}
    rarely = getattr(model.opt, "n_critic", 1)
    return sum(size / rarely if name.startswith("G") else size for name, size in sizes.items())


def ring_seconds(size, processes, bandwidth):
    return 2 * (processes - 1) / processes * size / bandwidth


def left(step, waiting):
    """The speed relative to N times one process, if every step waits for `waiting` seconds."""
    return step / (step + waiting)


def arithmetic(options):
    step, rows = options.step / 1000, []
    for setting in options.models:
        size = bytes_of(setting, options.words)
        links = {}
        for link, bandwidth in LINKS.items():
            seconds = ring_seconds(size, options.processes, bandwidth)
            hidden = max(0, seconds - HIDING * step)
            links[link] = {"seconds": seconds, "after": left(step, seconds), "hidden": left(step, hidden)}
        rows.append({"model": setting.model, "bytes": size, "links": links})
    return rows


def print_arithmetic(rows, options):
    print(f"{options.processes} processes: MB averaged a step, and ms in a ring")
    digits = lambda value: f"{value:.0f}" if value >= 10 else f"{value:.1f}"  # noqa: E731
    lines = [
        [row["model"], f"{row['bytes'] / 1e6:.0f}", *(digits(1000 * each["seconds"]) for each in row["links"].values())]
        for row in rows
    ]
    harness.table(["", "MB", *LINKS], lines)
    print(f"\nspeed left, in %, of a step that takes {options.step:g} ms alone: sums after it / half of it hides them")
    lines = [
        [row["model"], *(f"{100 * each['after']:.0f} / {100 * each['hidden']:.0f}" for each in row["links"].values())]
        for row in rows
    ]
    harness.table(["", *LINKS], lines)


# --- measured --------------------------------------------------------------------------------------------------------


def alone():
    """In this context the process is the only one of the run."""
    return mock.patch.multiple(session, _size=1, _rank=0)


def sums_after_the_backward_pass():
    return mock.patch.object(GradientMean, "arm", lambda self, loss: None)


class Measuring:
    """Steps of a model, by one process and by all. All processes call the same methods."""

    def __init__(self, setting, options):
        self.training, self.steps = Training(setting, options.words, "cpu"), options.steps
        self.training.steps(2)

    def one(self):
        if distributed.rank() == 0:
            with alone():
                figures = self.take()
        else:
            figures = 0, 0
        return distributed.value_of_rank0(figures)

    def all(self):
        wall, processor = self.take()
        return wall, sum(distributed.gather(processor))

    def all_without_overlap(self):
        with sums_after_the_backward_pass():
            return self.all()

    def take(self):
        """(wall-clock seconds, processor seconds of this process) per step."""
        distributed.maximum(0)
        wall, processor = time.perf_counter(), time.process_time()
        self.training.steps(self.steps)
        distributed.maximum(0)
        return (time.perf_counter() - wall) / self.steps, (time.process_time() - processor) / self.steps


def measure(options):
    """Called in each process."""
    import torch

    torch.set_num_threads(options.threads or 1)
    rows = []
    with distributed.session():
        number = distributed.world_size()
        distributed.set_step_images(1, number)
        for setting in options.models:
            measuring = Measuring(setting, options)
            tasks = {"1": measuring.one, "overlap": measuring.all, "after": measuring.all_without_overlap}
            rounds = harness.interleave(tasks, options.rounds)
            rows += [row_of(setting, name, number, rounds) for name in tasks]
        print_measured(rows, number)
        if distributed.rank() == 0:
            harness.report("scaling", options, rows)
            harness.say_machine(options)


def row_of(setting, name, number, rounds):
    images = setting.batch * (1 if name == "1" else number)
    pairs = list(zip(rounds[name], rounds["1"]))
    return {
        **setting._asdict(),
        "variant": name,
        "images_per_second": harness.spread(images / wall for (wall, _), _ in pairs),
        "efficiency": harness.spread(lone[0] / mine[0] for mine, lone in pairs),
        "processor_seconds_per_image": harness.spread(processor / images for (_, processor), _ in pairs),
    }


def print_measured(rows, number):
    says = {"1": "1 process", "overlap": f"{number}, sums during backward", "after": f"{number}, sums after it"}
    heads = ["", "", "images/s", "of the ideal", "processor s an image"]
    keys = ("images_per_second", "efficiency", "processor_seconds_per_image")
    lines = [
        [
            str(Setting(row["model"], row["size"], row["batch"])),
            says[row["variant"]],
            *(harness.shown(row[k]) for k in keys),
        ]
        for row in rows
    ]
    harness.table(heads, lines)


# --- the command -----------------------------------------------------------------------------------------------------


def read_options(words):
    parser = harness.parser(__doc__)
    parser.add_argument("--models", nargs="+", type=Setting.parse, default=[Setting.parse(name) for name in MODELS])
    parser.add_argument("--processes", type=int, help="default: 8, and 2 with --measure")
    parser.add_argument("--step", type=float, default=100, help="milliseconds of a step without averaging (100)")
    parser.add_argument("--measure", action="store_true", help="train in processes on this machine")
    parser.add_argument("--steps", type=int, default=4, help="that are timed at a time (4)")
    options, options.words = parser.parse_known_args(words)
    options.processes = options.processes or (2 if options.measure else 8)
    return options


def main(words=None):
    words = sys.argv[1:] if words is None else words
    options = harness.settle(read_options(words))
    if options.measure and not distributed.launched():
        sys.exit(distributed.launch(options.processes, [sys.executable, __file__, *words]))
    if options.measure:
        return measure(options)
    rows = arithmetic(options)
    print_arithmetic(rows, options)
    return harness.report("scaling", options, rows)


if __name__ == "__main__":
    main()
