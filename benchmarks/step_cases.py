"""The cases of steps.py: a model at a size in one variant, which is built, warmed up, and timed in rounds."""

import costs
import harness
import torch
import workload
from reference import STEPS, ReferenceTraining
from reference import count as count_reference
from workload import Training

from util.numerics.memory import peak_of_main_memory

ORIGINALS = "originals'"  # the variant of reference.py


class Case:
    """A model at a size, in one variant, with its measurements."""

    def __init__(self, setting, variant, words):
        self.setting, self.variant, self.words = setting, variant, words
        self.own = self.original = self.training = self.memory = self.waits = self.error = None
        self.profile = {}  # see profiled()
        self.layers = None  # seconds of the step's convolutions and products alone
        self.images = setting.batch  # of a step; a variant may have a --batch_size of its own
        self.visits = []  # of each round: {seconds, rates}

    @property
    def is_reference(self):
        return self.variant == ORIGINALS and self.setting.model in STEPS

    def make(self, words, device):
        """The model in training, or the original's step on its networks."""
        kind = ReferenceTraining if self.is_reference else Training
        return kind(self.setting, [*words, *self.words], device)

    def attempt(self, function, *arguments):
        """The result of the function; None if it raises, and the error is stored."""
        if self.error:
            return None
        try:
            return function(*arguments)
        except Exception as error:
            self.error, self.training = harness.reason(error), None
            return None

    def count(self, words):
        words = [*words, *self.words]
        self.original = self.attempt(
            count_reference, self.setting, [*words, "--batch_size", str(self.images_of(words))]
        )
        self.own = self.original if self.is_reference else self.attempt(workload.count, self.setting, words)

    def images_of(self, words):
        """Of a step with these flags: parts of --accumulate times the batch."""
        sizes = {"batch_size": self.setting.batch, "accumulate": 1}
        given = {name: workload.picked(words, lambda flag, name=name: flag == name) for name in sizes}
        batch, parts = (int(given[name][-1]) if given[name] else usual for name, usual in sizes.items())
        return batch * parts


# --- memory ----------------------------------------------------------------------------------------------------------


def peak_on_cuda(training, device):
    """Bytes that the device's tensors took at most in a cycle; what other models hold is taken off by the caller."""
    torch.cuda.reset_peak_memory_stats(device)
    training.steps(training.cycle)
    return torch.cuda.max_memory_allocated(device)


def peak_on_cpu(setting, variant, words, threads):
    """The peak memory of training in a new process, in bytes; None if the system has no /proc."""
    torch.set_num_threads(threads)
    before = harness.resident()
    training = Case(setting, variant, []).make(words, "cpu")
    training.steps(max(2, training.cycle))  # Adam has its state from the first on
    peak = peak_of_main_memory()
    return None if peak is None or before is None else peak - before


# --- time ------------------------------------------------------------------------------------------------------------


def build(case, words, options):
    """Make the model and warm it up. On CUDA note what it takes of the memory, and whether the host has to wait."""
    device, on_gpu = options.device, options.device.startswith("cuda")
    before = torch.cuda.memory_allocated(device) if on_gpu else 0
    training = case.make(words, device)
    opt = training.model.opt
    case.images = opt.batch_size * opt.accumulate
    training.warm_up()
    if on_gpu:
        case.memory = peak_on_cuda(training, device) - before
        case.waits = why_it_waits(training)
        case.profile = profiled(training, harness.Clock(options), on_gpu)
    return training


def profiled(training, clock, on_gpu):
    """Of a step: {"launches": operations on the device, "busy_seconds": their time, "host_seconds": until all of them
    have been launched}. On a CPU the operations are those of the processor."""
    steps = training.whole_cycles(3)
    _, found = costs.costs(training, steps, clock, on_gpu)
    clock.wait()
    start = clock.now()
    training.steps(steps)
    host = (clock.now() - start) / steps
    clock.wait()
    launches, busy = (sum(each[key] for each in found) for key in ("calls", "seconds"))
    return {"launches": launches, "busy_seconds": busy, "host_seconds": host}


def why_it_waits(training):
    """torch's report of a synchronising read in a step, by torch's own check; None if there is none."""
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        training.steps(training.cycle)
    except RuntimeError as error:
        if "synchronizing" not in str(error):
            raise
        return harness.reason(error)
    finally:
        torch.cuda.set_sync_debug_mode(before)
    return None


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
    row |= {
        "multiply_adds": case.own,
        "multiply_adds_original": case.original,
        "peak_memory": case.memory,
        "host_waits": case.waits,
        **case.profile,
    }
    if not case.visits:
        return row
    seconds = [each["seconds"] for each in case.visits]
    row["seconds"] = harness.spread(seconds)
    row["images_per_second"] = harness.spread(case.images / each for each in seconds)
    if case.layers:
        row |= {"layers_seconds": case.layers, "over_layers": harness.spread(each / case.layers for each in seconds)}
    if case.profile:
        row["idle"] = max(0.0, 1 - case.profile["busy_seconds"] / row["seconds"]["median"])
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
