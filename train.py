"""Train a model: ``python train.py --model cycle_gan --dataroot ./datasets/horse2zebra --name horses``.

``-h`` lists the flags. To change what happens in training and when, edit train().
"""

import sys

from data import create_dataset
from models import create_model, prepare
from options.train_options import TrainOptions
from util.errors import clear_errors
from util.processes import distributed


def main(cmd_line=None):
    """Read the flags and train, in this process or in a process for each of --gpu_ids; returns the exit code."""
    with distributed.session():
        options = TrainOptions(cmd_line)
        opt = distributed.run_on_all_ranks(options.parse)
        if len(opt.gpu_ids) > 1:
            return distributed.launch(len(opt.gpu_ids), [sys.executable, __file__, *options.words()])
        from models.trial import trial_of  # imported late: torch takes seconds, and -h should not
        from util.run import running

        running.check_ranks(opt, options.parser.may_differ())
        dataset = create_dataset(opt)
        print(f"The number of training images = {len(dataset)}")
        model = running.seeded(opt, lambda: create_model(opt))
        with running.running(opt, dataset.guard()) as stopping:
            prepare(model, dataset, opt)
            built = running.build(opt, options, dataset, model, trial_of(model, opt, options.of_test, create_dataset))
            opt.visualizer = built.visualizer  # where plug-ins expect it
            train(opt, dataset, model, stopping, *built)
            running.finish(opt, built, stopping)
        return stopping.exit_code


def train(opt, dataset, model, stopping, progress, averages, checkpoint, visualizer, listeners, evaluations):
    for epoch in progress.epochs():
        dataset.set_epoch(epoch)
        visualizer.reset()
        for data in progress.batches(dataset):
            model.set_input(data)  # update
            model.optimize_parameters()
            averages.add(progress.own_images)
            listeners.step(data)
            if progress.rate_is_due():
                model.update_learning_rate()

            if progress.shows(opt.display_freq):  # show
                model.compute_visuals()
                visuals, save_result = model.get_current_visuals(), progress.is_due(opt.update_html_freq)
                visualizer.display_current_results(visuals, epoch, progress.total_iters, save_result)
                listeners.images(visuals, data)

            if progress.is_due(opt.print_freq):  # print
                losses, iters = averages.take(), progress.epoch_iter
                listeners.losses(losses)
                visualizer.print_current_losses(epoch, iters, losses, *progress.timings(), progress.total_iters)
                visualizer.plot_current_losses(epoch, progress.fraction(), losses)

            evaluations.when_due()  # evaluate, with --eval_freq
            if progress.every(opt.save_latest_freq):  # save
                visualizer.write(f"saving the latest model (epoch {epoch}, total_iters {progress.total_iters})")
                checkpoint.save(f"iter_{progress.total_iters}" if opt.save_by_iter else "latest")

            if stopping.requested():  # stop
                visualizer.write(f"{stopping.reason}: saving and exiting; --continue_train continues from {progress}")
                return checkpoint.save("latest", must=True)

        if not progress.max_iterations:  # end of the epoch: a saved state has the next epoch's learning rate
            model.update_learning_rate()
        if epoch % opt.save_epoch_freq == 0 or epoch == progress.last_epoch:
            print(f"saving the model at the end of epoch {epoch}, iters {progress.total_iters}")
            checkpoint.save("latest", epoch, must=epoch == progress.last_epoch)


if __name__ == "__main__":
    with clear_errors():
        distributed.leave(main())
