"""The context managers around the training loop, and the objects that the loop calls."""

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

SHOWN_LOSSES = 4  # behind the progress bar, which must fit into a line
TIME_OVER = "--max_time is over"


def check_ranks(opt, may_differ) -> None:
    """Raise InputError if the options of the ranks differ in other flags than `may_differ`; sets up the allocator."""
    check_packages(opt)
    distributed.run_on_all_ranks(lambda: agreement.check_same_options(opt, may_differ))
    memory.keep_freed_memory()


def seeded(opt, make):
    """Set the seed of the initial weights, then return make(), called on all ranks."""
    seeding.seed_build(opt.seed)
    return distributed.run_on_all_ranks(make)


@contextlib.contextmanager
def running(opt, *guards):
    """Lock the run's folder, set the numerics, explain errors and handle signals while the block runs.

    Yields a Stop. `guards` are further context managers. Each guard restores at the end what it has changed.
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
        yield stack.enter_context(handling_signals(opt.max_time))
        if used := memory.peak(opt.device):
            print(used)


class Built(NamedTuple):
    """The objects that the training loop calls besides the data set and the model."""

    progress: Progress
    averages: Averages
    checkpoint: Checkpoint
    visualizer: Visualizer  # on rank 0; a stand-in that does nothing on the other ranks
    listeners: Listeners
    evaluations: Evaluations | NoEvaluations


def build(opt, options, dataset, model, trial=None) -> Built:
    """Make the objects of a run whose model is ready, resume the run and store its options.

    `trial` evaluates the model every --eval_freq images (models/trial.py); None: no evaluation.
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
    checkpoint.before_save(watch.finish_checks)
    health = Health(visualizer.warn, getattr(model, "discriminator_losses", {}), model._translation_pairs())
    if progress.is_over():
        seen = f"{progress.total_iters:,} images seen"
        print(f"the run '{opt.name}' is finished ({seen}); to train it further, give {longer(opt, progress)}")
    samples = distributed.made_on_rank0(lambda: FixedSamples(opt, model, dataset, visualizer))
    listeners = Listeners([watch, health, LossesOnBar(progress), samples])
    return Built(progress, averages, checkpoint, visualizer, listeners, evaluations)


def longer(opt, progress) -> str:
    """The flags that make a finished run longer."""
    name = "n_iters" if progress.max_iterations else "n_epochs"
    first, second = getattr(opt, name), getattr(opt, f"{name}_decay")
    return f"a larger --{name} (now {first}) or --{name}_decay (now {second})"


def finish(opt, built, stopping) -> None:
    """Close the dashboards after the loop; for a finished run, print where its images are and how to test it."""
    built.visualizer.close()
    stopping.settle()
    if stopping.stops:  # the run is not finished, and the loop has printed how to continue it
        return
    if not opt.no_html:
        print(f"pictures of the training: {os.path.join(_folder(opt), 'web', 'index.html')}")
    words = ["--dataroot", opt.dataroot, "--name", opt.name]
    if opt.checkpoints_dir != "./checkpoints":
        words += ["--checkpoints_dir", opt.checkpoints_dir]
    program = "metamer test" if "METAMER_COMMAND" in os.environ else "python test.py"
    print(f"to test it: {program} {shlex.join(words)}")


class LossesOnBar(Listener):
    """Shows the last printed losses behind the progress bar of the run."""

    def __init__(self, progress):
        self.progress = progress

    def losses(self, losses):
        if self.progress.bar is not None:
            shown = list(losses.items())[:SHOWN_LOSSES]
            self.progress.bar.note(" ".join(f"{name} {value:.2f}" for name, value in shown))


def _folder(opt):
    return os.path.join(opt.checkpoints_dir, opt.name)


class Stop:
    """Whether a signal or --max_time ends the run. Call ``requested()`` once per step.

    ``reason`` is the cause and ``exit_code`` the exit code of the program. If one process has a reason to stop, all
    processes of the run stop after the next step: they exchange the reasons while they compute, and none of them waits.
    """

    def __init__(self, max_minutes=None):
        self.deadline = time.monotonic() + 60 * max_minutes if max_minutes else None
        self.reason = None
        self.exit_code = 0
        self.stops = False  # the last result of requested(); a signal after the last step does not change it
        self._interrupted = False
        self._agreed = None  # function that waits for the largest index into REASONS of all ranks in the last step

    def requested(self):
        """Collective."""
        if self.reason is None and self.deadline is not None and time.monotonic() >= self.deadline:
            self.reason = TIME_OVER
        several = distributed.world_size() > 1
        self.stops = self.settle() if several else self.reason is not None
        if several and not self.stops:
            self._agreed = distributed.start_maximum([REASONS.index(self.reason)])
        return self.stops

    def settle(self):
        """Whether any rank had a reason to stop in the last step. Collective; also called at the end of a run."""
        agreed, self._agreed = self._agreed, None
        number = agreed()[0] if agreed is not None else 0
        if number and self.reason is None:
            self._stop_for(REASONS[number])
        return number > 0

    def on_signal(self, number, frame):
        name = signal.Signals(number).name
        if name == "SIGINT" and not self._interrupted and distributed.rank() == 0:
            # Not print(), which is not reentrant: the signal may have interrupted another print().
            os.write(2, b"\nCtrl-C: finishing this step, then saving; press it again to leave now without saving\n")
        # The second Ctrl-C ends the process by the default handler. Not under a launcher: it forwards the first Ctrl-C,
        # which the terminal has sent to all processes already.
        if name == "SIGINT" and self._interrupted and not distributed.launched():
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGINT)
        self._interrupted = self._interrupted or name == "SIGINT"
        if self.reason is None:
            self._stop_for(f"{name} received")

    def _stop_for(self, reason):
        self.reason, self.exit_code = reason, distributed.EXIT_CODES.get(reason.split()[0], 0)


REASONS = [None, TIME_OVER, *(f"{name} received" for name in distributed.EXIT_CODES)]


@contextlib.contextmanager
def handling_signals(max_minutes=None):
    """Yields a Stop that handles the signals while the block runs; restores their old handlers at the end."""
    stop = Stop(max_minutes)
    numbers = [getattr(signal, name) for name in distributed.EXIT_CODES if hasattr(signal, name)]
    before = {number: signal.signal(number, stop.on_signal) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
