"""Train a model: ``python train.py --model cycle_gan --dataroot ./datasets/horse2zebra --name horses``.

``-h`` lists the flags, together with those of the model and data set that stand on the command line.
"""

from data import create_dataset
from models import create_model, prepare
from options.train_options import TrainOptions
from util import seeding
from util.errors import clear_errors
from util.progress import Progress
from util.visualizer import Visualizer


def main(cmd_line=None):
    options = TrainOptions(cmd_line)
    opt = options.parse()
    dataset = create_dataset(opt)
    print(f"The number of training images = {len(dataset)}")
    seeding.seed_build(opt.seed)
    model = create_model(opt)
    prepare(model, dataset, opt)
    options.save()
    visualizer = opt.visualizer = Visualizer(opt)
    visualizer.set_dataset_size(len(dataset))
    progress = Progress(opt, len(dataset))

    for epoch in progress.epochs():
        dataset.set_epoch(epoch)
        visualizer.reset()

        for data in progress.batches(dataset):
            model.set_input(data)
            model.optimize_parameters()

            if progress.every(opt.display_freq):
                model.compute_visuals()
                visuals, save_result = model.get_current_visuals(), progress.every(opt.update_html_freq)
                visualizer.display_current_results(visuals, epoch, progress.total_iters, save_result)

            if progress.every(opt.print_freq):
                losses = model.get_current_losses()
                where = epoch, progress.epoch_iter
                visualizer.print_current_losses(*where, losses, *progress.timings(), progress.total_iters)
                visualizer.plot_current_losses(epoch, progress.fraction(), losses)

            if progress.every(opt.save_latest_freq):
                visualizer.say(f"saving the latest model (epoch {epoch}, total_iters {progress.total_iters})")
                model.save_networks(f"iter_{progress.total_iters}" if opt.save_by_iter else "latest")

        model.update_learning_rate()
        if epoch % opt.save_epoch_freq == 0 or epoch == progress.last_epoch:
            print(f"saving the model at the end of epoch {epoch}, iters {progress.total_iters}")
            model.save_networks("latest")
            model.save_networks(epoch)

    visualizer.close()


if __name__ == "__main__":
    with clear_errors():
        main()
