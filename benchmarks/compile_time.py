"""Seconds that --compile takes, and the operations of a step, for each of its values.

    python benchmarks/compile_time.py --models cycle_gan@64
    python benchmarks/compile_time.py --models cut@64 --variant "none=" --variant "blocks=--compile blocks"

Every compilation is made anew, without torch's caches, by one process and the compilers that it calls. "compiling" are
the seconds of the first steps beyond those of as many later steps. "operations" are the operators and the generated
kernels that a step calls, without views and allocations: on a GPU, each of them is a launch or more.
"""

import os
import time
from functools import partial

import harness
import torch
import workload
from workload import Setting, Training

VARIANTS = [f"{mode}=--compile {mode}" for mode in ("none", "blocks", "default")]
LATER = 3  # steps whose median is the time of a step
DIGITS = {"compiling": 1, "step": 2, "graphs": 0, "operations": 0, "kernels": 0}  # figures of a row
FREE = ("aten::empty", "aten::view", "aten::as_strided", "aten::detach", "aten::t", "aten::resolve", "aten::is_")


def seconds(options):
    """Of the processor, with those of the compilers; or of the clock."""
    return sum(os.times()[:4]) if options.clock == "cpu" else time.perf_counter()


def measure(setting, words, options):
    import torch._inductor.config as inductor
    from torch._dynamo.utils import counters

    torch._dynamo.reset()
    counters.clear()
    settings = {"force_disable_caches": True, "compile_threads": 1, "cpp.enable_kernel_profile": True}
    with inductor.patch(settings):
        training = Training(setting, words, options.device)
        before = seconds(options)
        training.warm_up()
        made, first = training.steps_done, seconds(options) - before
        times = [timed(training, options) for _ in range(LATER * training.cycle)]
        step = sum(times) / len(times)
        calls = operations(training)
    return {"compiling": first - made * step, "step": step, "graphs": counters["stats"]["unique_graphs"], **calls}


def timed(training, options):
    before = seconds(options)
    training.steps(1)
    return seconds(options) - before


def operations(training):
    """{"operations", "kernels"} of a step, the mean of a cycle; `kernels` are those that the compiler generated."""
    with torch.profiler.profile() as profile:
        training.steps(training.cycle)
    calls = [event for event in profile.events() if not event.cpu_children]
    kernels = [event for event in calls if "cpp_fused" in event.name or "triton_" in event.name]
    operators = [event for event in calls if event.name.startswith("aten::") and not event.name.startswith(FREE)]
    found = {"operations": len(operators) + len(kernels), "kernels": len(kernels)}
    return {name: number / training.cycle for name, number in found.items()}


def main(words=None):
    parser = harness.parser(__doc__, rounds=1)
    parser.add_argument("--models", nargs="+", type=Setting.parse, default=[Setting.parse("cycle_gan@64")])
    parser.add_argument("--variant", action="append", metavar="NAME=FLAGS", help="instead of the values of --compile")
    options, more = parser.parse_known_args(words)
    harness.settle(options)
    rows = []
    for setting in options.models:
        variants = workload.variants(options.variant or VARIANTS)
        tasks = {name: partial(measure, setting, [*more, *own], options) for name, own in variants}
        found = harness.interleave(tasks, options.rounds, lambda number: harness.out_of_time(options))
        for name, rounds in found.items():
            figures = {key: harness.spread(each[key] for each in rounds) for key in DIGITS}
            rows.append({"model": str(setting), "variant": name, **figures})
        harness.report("compile_time", options, rows)
    harness.say_machine(options)
    lines = [
        [f"{row['model']} {row['variant']}", *(harness.shown(row[k], n) for k, n in DIGITS.items())] for row in rows
    ]
    harness.table(["", *DIGITS], lines)
    return harness.report("compile_time", options, rows)


if __name__ == "__main__":
    main()
