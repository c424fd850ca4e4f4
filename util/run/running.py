"""What surrounds the training loop: the guards of a run, and the objects that the loop calls."""

import contextlib
import os
import shlex
import signal
import time
from typing import NamedTuple

from util.numerics import memory, seeding
from util.numerics.precision import backend_precision, backend_tuning
from util.processes import agreement, distributed, gradients
from util.run import folder as run_folder
from util.run.checkpoint import Checkpoint
from util.run.eval_schedule import Evaluations, NoEvaluations
from util.run.loss_means import Averages
from util.run.progress import Progress
from util.run.watch import Listener, Listeners, Watch
from util.show.bar import closing_bars
from util.show.health import Health
from util.show.samples import FixedSamples
from util.show.sinks import check_packages
from util.visualizer import Visualizer

SHOWN_LOSSES = 4  # behind the bar, which has to fit into a line
TIME_OVER = "--max_time is over"


def check_ranks(opt, may_differ) -> None:
    """Before anything is built: all ranks must have the same options, except the flags in `may_differ`."""
    check_packages(opt)
    distributed.run_on_all_ranks(lambda: agreement.check_same_options(opt, may_differ))
    memory.keep_freed_memory()


def seeded(opt, make):
    """make() on all ranks after the seed of the initial weights is set."""
    seeding.seed_build(opt.seed)
    return distributed.run_on_all_ranks(make)


@contextlib.contextmanager
def running(opt, *guards):
    """All guards of a run: the folder is locked, numerics are set, errors are explained, signals are handled.

    Yields the Stop that the loop asks after each step. `guards` are further context managers. Each guard restores at
    the end of the block what it has changed.
    """
    with contextlib.ExitStack() as stack:
        for guard in (
            distributed.entered_on_rank0(run_folder.owning(_folder(opt))),
            seeding.repeatable(opt.deterministic, opt.device),
            backend_precision(opt.precision),
            backend_tuning(opt),
            memory.explaining_out_of_memory(opt),
            *guards,
            closing_bars(),
            gradients.before_every_step(getattr(opt, "compress_gradients", False)),
        ):
            stack.enter_context(guard)
        yield stack.enter_context(listening(opt.max_time))
        if used := memory.peak(opt.device):
            print(used)


class Built(NamedTuple):
    """What the training loop calls besides the data set and the model."""

    progress: Progress
    averages: Averages
    checkpoint: Checkpoint
    visualizer: Visualizer  # on rank 0; a stand-in that does nothing on the other ranks
    listeners: Listeners
    evaluations: Evaluations | NoEvaluations


def build(opt, options, dataset, model, trial=None) -> Built:
    """Make the objects of a run whose model is ready; resumes the run, and stores its options.

    `trial` is what is evaluated every --eval_freq images; see models/trial.py.
    """
    agreement.print_batch_size(model)
    progress, averages = Progress(opt, len(dataset), dataset.batches_per_epoch()), Averages(model)
    evaluations = Evaluations(opt, model, progress, trial) if trial else NoEvaluations()
    things = {"model": model, "progress": progress, "averages": averages, **evaluations.to_save()}
    checkpoint = Checkpoint(_folder(opt), keep_last=opt.keep_last, **things)
    checkpoint.begin(opt)
    options.show()
    distributed.on_rank0(options.save)
    visualizer = distributed.made_on_rank0(lambda: Visualizer(opt, progress.total_iters))
    evaluations.begin(checkpoint, visualizer)
    visualizer.set_dataset_size(len(dataset))
    visualizer.set_optimizers(model.optimizers)
    watch = Watch(opt, model, progress, checkpoint.folder, visualizer.warn)
    checkpoint.before_save(watch.settle)
    health = Health(visualizer.warn, getattr(model, "discriminator_losses", {}), model._translation_pairs())
    if progress.is_over():
        seen = f"{progress.total_iters:,} images seen"
        print(f"the run '{opt.name}' is finished ({seen}); to train it further, give {longer(opt, progress)}")
    samples = distributed.made_on_rank0(lambda: FixedSamples(opt, model, dataset, visualizer))
    listeners = Listeners([watch, health, LossesOnBar(progress), samples])
    return Built(progress, averages, checkpoint, visualizer, listeners, evaluations)


def longer(opt, progress) -> str:
    """The flags that make a finished run longer."""
    name = "n_iters" if progress.wanted else "n_epochs"
    first, second = getattr(opt, name), getattr(opt, f"{name}_decay")
    return f"a larger --{name} (now {first}) or --{name}_decay (now {second})"


def finish(opt, built, stopping) -> None:
    """After the loop: the dashboards are closed; says where the pictures are, and how a finished run is tested."""
    built.visualizer.close()
    stopping.settle()
    if stopping.reason:  # the loop has said how the run goes on
        return
    if not opt.no_html:
        print(f"pictures of the training: {os.path.join(_folder(opt), 'web', 'index.html')}")
    words = ["--dataroot", opt.dataroot, "--name", opt.name]
    if opt.checkpoints_dir != "./checkpoints":
        words += ["--checkpoints_dir", opt.checkpoints_dir]
    program = "metamer test" if "METAMER_COMMAND" in os.environ else "python test.py"
    print(f"to test it: {program} {shlex.join(words)}")


class LossesOnBar(Listener):
    """Shows the last printed losses behind the bar of the run."""

    def __init__(self, progress):
        self.progress = progress

    def losses(self, losses):
        if self.progress.bar is not None:
            shown = list(losses.items())[:SHOWN_LOSSES]
            self.progress.bar.note(" ".join(f"{name} {value:.2f}" for name, value in shown))


def _folder(opt):
    return os.path.join(opt.checkpoints_dir, opt.name)


class Stop:
    """``requested()`` once a step; ``reason`` and ``exit_code`` say what it was.

    A run in many processes stops one step after the first of them got a signal, all in the same step: the ranks agree
    while they compute, and none of them waits.
    """

    def __init__(self, max_minutes=None):
        self.deadline = time.monotonic() + 60 * max_minutes if max_minutes else None
        self.reason = None
        self.exit_code = 0
        self._interrupted = False
        self._agreed = None  # function: the largest of the ranks' reasons in the last step, by their numbers

    def requested(self):
        """Collective."""
        if self.reason is None and self.deadline is not None and time.monotonic() >= self.deadline:
            self.reason = TIME_OVER
        if distributed.world_size() == 1:
            return self.reason is not None
        if self.settle():
            return True
        self._agreed = distributed.start_maximum([REASONS.index(self.reason)])
        return False

    def settle(self):
        """Whether any rank had a reason in the step before. Collective; called at the end of a run, too."""
        agreed, self._agreed = self._agreed, None
        number = agreed()[0] if agreed is not None else 0
        if number and self.reason is None:
            self._leave_for(REASONS[number])
        return number > 0

    def on_signal(self, number, frame):
        name = signal.Signals(number).name
        if name == "SIGINT" and not self._interrupted and distributed.rank() == 0:
            # Not print(): the signal may have come while the program was printing.
            os.write(2, b"\nCtrl-C: finishing this step, then saving; press it again to leave now without saving\n")
        # The second Ctrl-C: at once, as if nobody had listened. A launcher passes on the one that all have got already.
        if name == "SIGINT" and self._interrupted and not distributed.launched():
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGINT)
        self._interrupted = self._interrupted or name == "SIGINT"
        if self.reason is None:  # what came first is what the run leaves for
            self._leave_for(f"{name} received")

    def _leave_for(self, reason):
        self.reason, self.exit_code = reason, distributed.EXIT_CODES.get(reason.split()[0], 0)


REASONS = [None, TIME_OVER, *(f"{name} received" for name in distributed.EXIT_CODES)]


@contextlib.contextmanager
def listening(max_minutes=None):
    """A Stop that hears the signals while the block runs; their old handlers come back after it."""
    stop = Stop(max_minutes)
    numbers = [getattr(signal, name) for name in distributed.EXIT_CODES if hasattr(signal, name)]
    before = {number: signal.signal(number, stop.on_signal) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
