"""What surrounds the training loop: the guards of a run, and the objects that the loop calls."""

import contextlib
import os
from typing import NamedTuple

from util.numerics import memory, seeding
from util.numerics.allocator import keep_freed_memory
from util.numerics.determinism import repeatable
from util.numerics.precision import backend_precision, backend_tuning
from util.processes import agreement, distributed, gradients
from util.run import folder as run_folder
from util.run import stop
from util.run.checkpoint import Checkpoint
from util.run.listeners import Listeners
from util.run.loss_means import Averages
from util.run.progress import Progress
from util.run.watch import Watch
from util.show.health import Health
from util.visualizer import Visualizer


def check_ranks(opt, may_differ) -> None:
    """Before anything is built: all ranks must have the same options, except the flags in `may_differ`."""
    distributed.run_on_all_ranks(lambda: agreement.check_same_options(opt, may_differ))
    keep_freed_memory()


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
            repeatable(opt.deterministic, opt.device),
            backend_precision(opt.precision),
            backend_tuning(opt),
            memory.explaining_out_of_memory(opt),
            *guards,
            gradients.before_every_step(),
        ):
            stack.enter_context(guard)
        yield stack.enter_context(stop.listening(opt.max_time))
        if used := memory.peak(opt.device):
            print(used)


class Built(NamedTuple):
    """What the training loop calls besides the data set and the model."""

    progress: Progress
    averages: Averages
    checkpoint: Checkpoint
    visualizer: Visualizer  # on rank 0; a stand-in that does nothing on the other ranks
    listeners: Listeners


def build(opt, options, dataset, model) -> Built:
    """Make the objects of a run whose model is ready; resumes the run, and stores its options."""
    agreement.print_batch_size(model)
    progress, averages = Progress(opt, len(dataset), dataset.batches_per_epoch()), Averages(model)
    checkpoint = Checkpoint(_folder(opt), keep_last=opt.keep_last, model=model, progress=progress, averages=averages)
    checkpoint.begin(opt)
    distributed.on_rank0(options.save)
    visualizer = distributed.made_on_rank0(lambda: Visualizer(opt, progress.total_iters))
    visualizer.set_dataset_size(len(dataset))
    watch = Watch(opt, model, progress, checkpoint.folder, visualizer.warn)
    checkpoint.before_save(watch.settle)
    health = Health(visualizer.warn, getattr(model, "discriminator_losses", {}))
    return Built(progress, averages, checkpoint, visualizer, Listeners([watch, health]))


def _folder(opt):
    return os.path.join(opt.checkpoints_dir, opt.name)
