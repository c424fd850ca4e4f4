"""Train a model: ``python train.py --model cycle_gan --dataroot ./datasets/horse2zebra --name horses``.

``-h`` lists the flags, together with those of the model and data set that stand on the command line.
"""

import os
import sys

from data import create_dataset
from models import create_model, prepare
from options.train_options import TrainOptions
from util.errors import clear_errors
from util.processes import distributed
from util.run import folder as run_folder
from util.run import stop


def main(cmd_line=None):
    """Read the flags and train, here or in the processes that --gpu_ids asks for; returns the exit code."""
    with distributed.session():
        options = TrainOptions(cmd_line)
        opt = distributed.run_on_all_ranks(options.parse)
        if len(opt.gpu_ids) > 1:
            return distributed.launch(len(opt.gpu_ids), [sys.executable, os.path.abspath(__file__), *options.words()])
        return run(opt, options)


def run(opt, options):
    """Build everything, train, and return the exit code: 0, or what a signal asks for."""
    # Imported when the flags are understood: torch takes seconds, and -h should not.
    from data.loading.worker import naming_dead_workers
    from util.numerics import memory, seeding
    from util.numerics.allocator import keep_freed_memory
    from util.numerics.determinism import repeatable
    from util.numerics.precision import backend_precision, backend_tuning
    from util.processes import agreement, gradients
    from util.run.checkpoint import Checkpoint
    from util.run.loss_means import Averages
    from util.run.progress import Progress
    from util.visualizer import Visualizer

    distributed.run_on_all_ranks(lambda: agreement.check_same_options(opt, options.parser.may_differ()))
    keep_freed_memory()
    dataset = create_dataset(opt)
    print(f"The number of training images = {len(dataset)}")
    seeding.seed_build(opt.seed)
    model = distributed.run_on_all_ranks(lambda: create_model(opt))

    with (
        distributed.entered_on_rank0(run_folder.owning(os.path.join(opt.checkpoints_dir, opt.name))),
        repeatable(opt.deterministic, opt.device),
        backend_precision(opt.precision),
        backend_tuning(opt),
        memory.explaining_out_of_memory(opt),
        naming_dead_workers(),
        gradients.before_every_step(),
        stop.listening(opt.max_time) as stopping,
    ):
        prepare(model, dataset, opt)
        agreement.print_batch_size(model)
        progress, averages = Progress(opt, len(dataset), dataset.batches_per_epoch()), Averages(model)
        checkpoint = Checkpoint(opt, model, progress, averages)
        checkpoint.begin()
        distributed.on_rank0(options.save)
        visualizer = opt.visualizer = distributed.made_on_rank0(lambda: Visualizer(opt, progress.total_iters))
        visualizer.set_dataset_size(len(dataset))
        train(opt, dataset, model, progress, averages, checkpoint, visualizer, stopping)
        visualizer.close()
        if used := memory.peak(opt.device):
            print(used)
    return stopping.exit_code


def train(opt, dataset, model, progress, averages, checkpoint, visualizer, stopping):
    from util.numerics.compiling import begin_step
    from util.run.watch import Watch
    from util.show.health import Health

    watch = Watch(opt, model, progress, checkpoint, visualizer.warn)
    health = Health(visualizer.warn)

    for epoch in progress.epochs():
        dataset.set_epoch(epoch)
        visualizer.reset()

        for data in progress.batches(dataset):
            begin_step(opt.compile, opt.device)
            model.set_input(data)
            model.optimize_parameters()
            averages.add(progress.own_images)
            watch.look(data)
            if progress.rate_is_due():
                model.update_learning_rate()

            if progress.every(opt.display_freq):
                model.compute_visuals()
                visuals, save_result = model.get_current_visuals(), progress.every(opt.update_html_freq)
                visualizer.display_current_results(visuals, epoch, progress.total_iters, save_result)
                health.pictures(visuals, data)

            if progress.every(opt.print_freq):
                losses = averages.take()
                watch.losses(losses)
                health.losses(losses)
                where = epoch, progress.epoch_iter
                visualizer.print_current_losses(*where, losses, *progress.timings(), progress.total_iters)
                visualizer.plot_current_losses(epoch, progress.fraction(), losses)

            if progress.every(opt.save_latest_freq):
                watch.settle()
                visualizer.say(f"saving the latest model (epoch {epoch}, total_iters {progress.total_iters})")
                checkpoint.save(f"iter_{progress.total_iters}" if opt.save_by_iter else "latest")

            if stopping.requested():
                watch.settle()
                visualizer.say(f"{stopping.reason}: saving and leaving; --continue_train goes on from {progress}")
                checkpoint.save("latest", must=True)
                return

        watch.settle()
        if not progress.wanted:
            model.update_learning_rate()
        last = epoch == progress.last_epoch
        if epoch % opt.save_epoch_freq == 0 or last:
            print(f"saving the model at the end of epoch {epoch}, iters {progress.total_iters}")
            checkpoint.save("latest", must=last)
            checkpoint.save(epoch, must=last)


if __name__ == "__main__":
    with clear_errors():
        sys.exit(main())
