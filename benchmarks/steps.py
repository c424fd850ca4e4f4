"""What a training step costs: multiply-adds, seconds in units of the machine's floor, memory; any flag on and off.

    python benchmarks/steps.py                                           every model, economies on and off
    python benchmarks/steps.py --models cut dclgan@256 cycle_gan@256x8   these, at these sizes and batches
    python benchmarks/steps.py --variants precision compile              ready-made comparisons, see VARIANTS
    python benchmarks/steps.py --variant plain= --variant "fast=--precision bf16 --compile default"
    python benchmarks/steps.py --rounds 0                                multiply-adds alone

More flags are those of train.py, and go to every model. Each round runs every variant of a model once, with the
convolution that the floor is made of right before it, so that a slow minute falls on all of them; ratios are formed
within a round. The data is noise that lies on the device already.
"""

import shlex
import sys

import harness
import torch
import workload
from workload import MODELS, Setting, Training

VARIANTS = {
    "economies": {"no economies": "--economies no"},
    "precision": {name: f"--precision {name}" for name in ("fp32", "tf32", "bf16", "fp16")},
    "layout": {"channels_last": "--channels_last", "bf16 channels_last": "--precision bf16 --channels_last"},
    "compile": {f"compile {mode}": f"--compile {mode}" for mode in ("default", "reduce-overhead")},
    "memory": {"grad_checkpoint": "--grad_checkpoint", "accumulate 2": "--batch_size 2 --accumulate 2"},
}
ONLY_ON_CUDA = ("fp32", "tf32", "fp16", "compile reduce-overhead")  # on a CPU the default, the same, or slow


class Case:
    """A model at a size, in one variant, and what was found out about it."""

    def __init__(self, setting, variant, words):
        self.setting, self.variant, self.words = setting, variant, words
        self.own = self.original = self.training = self.memory = self.error = None
        self.images = setting.batch  # of a step; a variant may have a --batch_size of its own
        self.visits = []  # of each round: {seconds, rates}

    def attempt(self, function, *arguments):
        """What the function returns; where it fails, None, and the reason is kept."""
        if self.error:
            return None
        try:
            return function(*arguments)
        except Exception as error:
            self.error, self.training = harness.reason(error), None
            return None

    def count(self, words):
        self.own = self.attempt(workload.count, self.setting, [*words, *self.words])
        batch = workload.picked(self.words, lambda flag: flag == "batch_size")
        self.original = self.attempt(workload.count_original, self.setting, [*words, *batch])


def variants_of(setting, options):
    """(name, words) of the variants that were asked for, or the ready-made ones whose flags the model has.

    The first is what the others are compared to.
    """
    if options.variant:
        return workload.variants(options.variant)
    found = [("default", ""), *(each for name in options.variants for each in VARIANTS[name].items())]
    found = [(name, shlex.split(words)) for name, words in found]
    found = [each for each in found if options.device != "cpu" or each[0] not in ONLY_ON_CUDA]
    return [each for each in found if set(workload.flags_in(each[1])) <= workload.flags_of(setting.model)]


# --- memory ----------------------------------------------------------------------------------------------------------


def peak_on_cuda(training, device):
    """Bytes that the device's tensors took at most in a cycle; what other models hold is taken off by the caller."""
    torch.cuda.reset_peak_memory_stats(device)
    training.steps(training.cycle)
    return torch.cuda.max_memory_allocated(device)


def peak_on_cpu(setting, words, threads):
    """Bytes by which training grows a process of its own, at most; None where the system does not tell."""
    torch.set_num_threads(threads)
    before = harness.resident()
    training = Training(setting, words, "cpu")
    training.steps(max(2, training.cycle))  # Adam has its state from the first on
    peak = harness.peak_resident()
    return None if peak is None else peak - before


# --- time ------------------------------------------------------------------------------------------------------------


def build(case, words, device):
    """Make the model, let it settle, and note what it takes of the device's memory."""
    on_gpu = device.startswith("cuda")
    before = torch.cuda.memory_allocated(device) if on_gpu else 0
    training = Training(case.setting, [*words, *case.words], device)
    case.images = training.model.opt.batch_size
    # On CUDA compiled graphs are recorded in the first few steps, and cuDNN tries out its kernels.
    training.steps(training.whole_cycles(4) if on_gpu else 1)
    if on_gpu:
        case.memory = peak_on_cuda(training, device) - before
    return training


def visit(case, references, options, clock):
    """One timing of a case, and of the convolutions beside it."""
    rates = {name: convolution.rate(clock) for name, (convolution, _) in references.items()}
    training = case.training
    training.steps(1)  # what another model left in the caches and gave back to the system is in order again
    steps = training.whole_cycles(options.steps)
    case.visits.append({"seconds": clock.seconds(lambda: training.steps(steps)) / steps, "rates": rates})


def row_of(case, first):
    """Everything about a case, as JSON has it."""
    setting = case.setting
    row = {**setting._asdict(), "variant": case.variant, "words": " ".join(case.words), "error": case.error}
    row |= {"multiply_adds": case.own, "multiply_adds_original": case.original, "peak_memory": case.memory}
    if not case.visits:
        return row
    seconds = [each["seconds"] for each in case.visits]
    row["seconds"] = harness.spread(seconds)
    row["images_per_second"] = harness.spread(case.images / each for each in seconds)
    row["over_floor"] = {name: over_floor(case, name) for name in case.visits[0]["rates"]}
    if first.visits:
        row["against_first"] = harness.spread(
            mine / its["seconds"] for mine, its in zip(seconds, first.visits, strict=True)
        )
    return row


def over_floor(case, rate):
    """Steps in units of the floor, whose multiply-adds are the originals' or those that the step really makes."""
    counts = {"original": case.original, "own": case.own}
    return {
        name: harness.spread(each["seconds"] * each["rates"][rate] / count for each in case.visits)
        for name, count in counts.items()
    }


# --- the command -----------------------------------------------------------------------------------------------------


def read_options(words):
    parser = harness.parser(__doc__, rounds=3)
    parser.add_argument("--models", nargs="+", type=Setting.parse, default=[Setting.parse(name) for name in MODELS])
    parser.add_argument("--size", type=int, help="side of all images, instead of each model's usual one")
    parser.add_argument("--variants", nargs="*", choices=VARIANTS, help="default: economies; on CUDA precision, too")
    parser.add_argument("--variant", action="append", metavar="NAME=FLAGS", help="one of your own; again for more")
    parser.add_argument("--steps", type=int, help="that are timed at a time; default: 1, on CUDA 20")
    parser.add_argument("--no_memory", action="store_true", help="leave the measurement of memory out (CPU)")
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
    """Cases and convolutions. Models come one after the other, the variants of each by turns; JSON after each round."""
    clock = harness.Clock(options)
    references = workload.references(options.device, clock) if options.rounds else {}
    cases = []

    def after(number):
        write(cases, references, options)
        return harness.out_of_time(options)

    for setting in options.models:
        own = [Case(setting, *variant) for variant in variants_of(setting, options)]
        cases += own
        print(f"{setting}: {', '.join(case.variant for case in own)}", file=sys.stderr)
        prepare(own, options, words)
        tasks = {case: lambda case=case: visit(case, references, options, clock) for case in own if case.training}
        harness.interleave(tasks, options.rounds, after)
        for case in own:
            case.training = None  # the next model may need the memory
    return cases, references


def prepare(cases, options, words):
    """Count, and make models where something is to be timed; after --time_limit there is no time for it."""
    for case in cases:
        if harness.out_of_time(options):
            case.error = f"left out: more than --time_limit {options.time_limit:.0f} seconds"
        case.count(words)
        if options.rounds and options.device == "cpu" and not options.no_memory:
            flags, threads = [*words, *case.words], torch.get_num_threads()
            case.memory = case.attempt(harness.in_own_process, peak_on_cpu, case.setting, flags, threads)
        if options.rounds:
            case.training = case.attempt(build, case, words, options.device)


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
    best = list(content["rates"])[-1:]  # bf16 where there is one
    heads = "model|variant|1e9 mult.-adds|originals'|s/step|images/s|/floor (originals')|/floor (own)|/first|peak MB"
    harness.table(heads.split("|"), [line_of(row, best) for row in content["rows"]])
    for row in content["rows"]:
        if row["error"]:
            print(f"{row['model']} {row['variant']}: {row['error']}")


def line_of(row, best):
    where = f"{row['model']}@{row['size']}x{row['batch']}"
    counts = [harness.shown(row[name], 1, 1e-9) for name in ("multiply_adds", "multiply_adds_original")]
    over = row.get("over_floor", {})
    floors = [harness.shown(over[name][count]) if over else "" for name in best for count in ("original", "own")]
    times = [harness.shown(harness.median(row.get(name)), 4) for name in ("seconds", "images_per_second")]
    rest = [harness.shown(row.get("against_first")), harness.shown(row["peak_memory"], 0, 1e-6)]
    return [where, row["variant"], *counts, *times, *(floors or ["", ""]), *rest]


def main(words=None):
    options, more = read_options(words)
    cases, references = measure(options, more)
    show(write(cases, references, options), options)


if __name__ == "__main__":
    main()
