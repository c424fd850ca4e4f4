"""The cost of a training step: multiply-adds, time relative to the machine's floor, memory; with any flags.

    python benchmarks/steps.py                                           every model, economies on and off
    python benchmarks/steps.py --models cut dclgan@256 cycle_gan@256x8   these, at these sizes and batches
    python benchmarks/steps.py --variants precision compile              ready-made comparisons, see VARIANTS
    python benchmarks/steps.py --variant plain= --variant "fast=--precision bf16 --compile default"
    python benchmarks/steps.py --rounds 0                                multiply-adds only

Further flags are those of train.py, for every model. Each round runs every variant of a model once, and the convolution
of the floor directly before it, so that a slow phase affects all of them; ratios are computed within a round. The last
variant is the step of the originals (reference.py), on the same networks. The data is noise on the device.
"""

import functools
import itertools
import shlex
import sys

import floor
import harness
import reference
import torch
import workload
from step_cases import ORIGINALS, Case, build, peak_on_cpu, row_of, visit
from workload import MODELS, Setting

VARIANTS = {
    "economies": {"no economies": "--economies no"},
    "precision": {name: f"--precision {name}" for name in ("fp32", "tf32", "bf16", "fp16")},
    "layout": {"channels_last": "--channels_last", "bf16 channels_last": "--precision bf16 --channels_last"},
    "compile": {f"compile {mode}": f"--compile {mode}" for mode in ("blocks", "default", "reduce-overhead")},
    "memory": {"grad_checkpoint": "--grad_checkpoint", "accumulate 2": "--batch_size 2 --accumulate 2"},
}
PROFILED = {"launches": (0,), "host_seconds": (2, 1e3), "idle": (2,)}  # columns of CUDA: digits, factor
ONLY_ON_CUDA = ("fp32", "tf32", "fp16", "compile reduce-overhead")  # on a CPU the default, the same, or slow


def variants_of(setting, options):
    """(name, words) of the variants that were asked for, or the ready-made ones whose flags the model has.

    The first is what the others are compared to.
    """
    originals = [(ORIGINALS, [])] if setting.model in reference.STEPS and not options.no_originals else []
    if options.variant:
        return [*workload.variants(options.variant), *originals]
    found = [("default", ""), *(each for name in options.variants for each in VARIANTS[name].items())]
    found = [(name, shlex.split(words)) for name, words in found]
    found = [each for each in found if options.device != "cpu" or each[0] not in ONLY_ON_CUDA]
    fitting = [each for each in found if set(workload.flags_in(each[1])) <= workload.flags_of(setting.model)]
    return [*fitting, *originals]


# --- the command -----------------------------------------------------------------------------------------------------


def read_options(words):
    parser = harness.parser(__doc__, rounds=3)
    parser.add_argument("--models", nargs="+", type=Setting.parse, default=[Setting.parse(name) for name in MODELS])
    parser.add_argument("--size", type=int, help="side of all images, instead of each model's usual one")
    parser.add_argument("--variants", nargs="*", choices=VARIANTS, help="default: economies; on CUDA precision, too")
    parser.add_argument("--variant", action="append", metavar="NAME=FLAGS", help="one of your own; again for more")
    parser.add_argument("--steps", type=int, help="that are timed at a time; default: 1, on CUDA 20")
    parser.add_argument("--no_memory", action="store_true", help="leave the measurement of memory out (CPU)")
    help = "also time the convolutions and products of a step alone, in their own shapes (a second floor)"
    parser.add_argument("--layers", action="store_true", help=help)
    parser.add_argument("--no_originals", action="store_true", help="leave the originals' step out, see reference.py")
    options, more = parser.parse_known_args(words)
    harness.settle(options)
    on_gpu = options.device != "cpu"
    options.steps = options.steps or (20 if on_gpu else 1)
    if options.variants is None:
        options.variants = ["economies", "precision"] if on_gpu else ["economies"]
    if options.size:
        options.models = [setting._replace(size=options.size) for setting in options.models]
    return options, more


def measure(options, words):
    """Cases and convolutions. Models come one after the other, the variants of each by turns.

    JSON is written after each variant that is ready and after each round.
    """
    clock = harness.Clock(options)
    references = floor.references(options.device, clock) if options.rounds else {}
    cases = []

    def after(number=None):
        write(cases, references, options)
        return harness.out_of_time(options)

    for setting in options.models:
        own = [Case(setting, *variant) for variant in variants_of(setting, options)]
        cases += own
        print(f"{setting}: {', '.join(case.variant for case in own)}", file=sys.stderr)
        prepare(own, options, words, after)
        tasks = {case: lambda case=case: visit(case, references, options, clock) for case in own if case.training}
        harness.interleave(tasks, options.rounds, after)
        for case in own:
            case.training = None  # the next model may need the memory
    return cases, references


def prepare(cases, options, words, after):
    """Count, and make models where something is to be timed; after --time_limit there is no time for it."""
    for case in cases:
        if harness.out_of_time(options):
            case.error = f"left out: more than --time_limit {options.time_limit:.0f} seconds"
        case.count(words)
        if options.rounds and options.device == "cpu" and not options.no_memory:
            flags, threads = [*words, *case.words], torch.get_num_threads()
            case.memory = case.attempt(harness.in_own_process, peak_on_cpu, case.setting, case.variant, flags, threads)
        if options.rounds:
            case.training = case.attempt(build, case, words, options)
        if options.rounds and options.layers and not case.error:
            calls = workload.operations(case.setting, [*words, *case.words]).calls
            case.layers = case.attempt(floor.seconds_of_layers, calls, options.device, harness.Clock(options))
        after()


def rows_of(cases):
    firsts = {}
    for case in cases:
        firsts.setdefault(case.setting, case)
    return [row_of(case, firsts[case.setting]) for case in cases]


def rates_of(cases, references):
    visits = [each for case in cases for each in case.visits]
    return {
        name: {"multiply_adds_per_second": harness.spread(each["rates"][name] for each in visits), "of": description}
        for name, (_, description) in references.items()
        if visits
    }


def write(cases, references, options):
    return harness.report("steps", options, rows_of(cases), rates=rates_of(cases, references))


def show(content, options):
    harness.say_machine(options)
    for name, rate in content["rates"].items():
        speed = harness.shown(rate["multiply_adds_per_second"], 1, 1e-9)
        print(f"rate {name}: {speed} 1e9 multiply-adds/s ({rate['of']})")
    print(f"{ORIGINALS}: {reference.tf32()}")
    best = list(content["rates"])[-1:]  # bf16 where there is one
    heads = "model|variant|1e9 mult.-adds|originals'|s/step|images/s|/floor (originals')|/floor (own)|/first|peak MB"
    heads += "|/layers|launches|host ms|idle"
    lines = [line_of(row, best) for row in content["rows"]]
    used = [any(column) for column in zip(*lines)]
    pick = functools.partial(itertools.compress, selectors=used)
    harness.table(list(pick(heads.split("|"))), [list(pick(line)) for line in lines])
    for row in content["rows"]:
        if row["error"]:
            print(f"{row['model']} {row['variant']}: {row['error']}")
        if row["host_waits"]:
            print(f"{row['model']} {row['variant']}: the host waits for the device ({row['host_waits']})")


def line_of(row, best):
    where = f"{row['model']}@{row['size']}x{row['batch']}"
    counts = [harness.shown(row[name], 1, 1e-9) for name in ("multiply_adds", "multiply_adds_original")]
    over = row.get("over_floor", {})
    floors = [harness.shown(over[name][count]) if over else "" for name in best for count in ("original", "own")]
    times = [harness.shown(harness.median(row.get(name)), 4) for name in ("seconds", "images_per_second")]
    rest = [harness.shown(row.get("against_first")), harness.shown(row["peak_memory"], 0, 1e-6)]
    rest += [harness.shown(row.get("over_layers"))]
    rest += [harness.shown(row.get(key), *digits) for key, digits in PROFILED.items()]
    return [where, row["variant"], *counts, *times, *(floors or ["", ""]), *rest]


def main(words=None):
    options, more = read_options(words)
    cases, references = measure(options, more)
    show(write(cases, references, options), options)


if __name__ == "__main__":
    main()
