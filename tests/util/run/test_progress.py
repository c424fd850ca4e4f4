"""Counters, frequencies and positions of a run."""

from argparse import Namespace

import torch

from util.run.progress import Progress


def run(batches, images_per_epoch, **options):
    opt = Namespace(**{"n_epochs": 1, "n_epochs_decay": 0, "epoch_count": 1, "seed": 3, **options})
    progress = Progress(opt, images_per_epoch)
    for _ in progress.epochs():
        for data in progress.batches(batches):
            yield progress, data


def image_batches(*sizes):
    return [{"A": torch.zeros(n, 1, 2, 2), "A_paths": ["p"] * n} for n in sizes]


def test_images_are_counted_also_in_short_batches():
    assert [progress.total_iters for progress, _ in run(image_batches(2, 2, 1), 5)] == [2, 4, 5]


def test_frequencies_mean_at_least_every_N_images():
    fired = [progress.total_iters for progress, _ in run(image_batches(*[3] * 100), 300) if progress.every(100)]
    assert fired == [102, 201, 300]
    fired = [progress.total_iters for progress, _ in run(image_batches(*[6] * 500), 3000) if progress.every(400)]
    assert len(fired) == 7


def test_random_numbers_of_a_step_do_not_depend_on_the_start_of_the_run():
    draws = [float(torch.rand(1)) for _ in run(image_batches(1, 1, 1, 1), 4)]
    again = [float(torch.rand(1)) for _ in run(image_batches(1, 1, 1, 1), 4)]
    other = [float(torch.rand(1)) for _ in run(image_batches(1, 1, 1, 1), 4, seed=4)]
    assert draws == again
    assert len(set(draws)) == 4
    assert draws != other


def test_epochs_start_at_epoch_count_and_end_with_the_schedule(capsys):
    epochs = [progress.epoch for progress, _ in run(image_batches(1), 1, n_epochs=3, n_epochs_decay=2, epoch_count=4)]
    assert epochs == [4, 5]
    assert "End of epoch 5 / 5 \t Time Taken:" in capsys.readouterr().out


def counted(n_iters, batches=3, **options):
    """[(epoch, iterations, whether the rate is due)] of a run that counts iterations, of so many batches an epoch."""
    opt = Namespace(n_iters=n_iters, n_iters_decay=0, lr_update_step=2, epoch_count=1, seed=3, batch_size=2, **options)
    progress = Progress(opt, 2 * batches, batches)
    for epoch in progress.epochs():
        for _ in progress.batches(image_batches(*[2] * batches)):
            yield epoch, progress.iterations, progress.rate_is_due(), progress.last_epoch


def test_a_run_of_iterations_ends_inside_an_epoch():
    assert [position[:2] for position in counted(5)] == [(1, 1), (1, 2), (1, 3), (2, 4), (2, 5)]
    assert [due for _, _, due, _ in counted(5)] == [False, True, False, True, False]
    assert {last for *_, last in counted(5)} == {2}
    assert {last for *_, last in counted(6)} == {2} and {last for *_, last in counted(7)} == {3}


def test_a_run_of_epochs_changes_no_rate_inside_an_epoch():
    assert not any(progress.rate_is_due() for progress, _ in run(image_batches(2, 2), 4))


def shown(images, frequency, epochs=2):
    """Positions at which losses are printed and images are shown, in a run with batches of one image."""
    options = Namespace(n_epochs=epochs, n_epochs_decay=0, epoch_count=1, seed=3)
    progress, printed, pictures = Progress(options, images, images), [], []
    for _ in progress.epochs():
        for _ in progress.batches(image_batches(*[1] * images)):
            if progress.is_due(frequency):
                printed.append(progress.total_iters)
            if progress.shows(frequency):
                pictures.append(progress.total_iters)
    return printed, pictures


def test_every_epoch_has_a_line_and_an_image_and_so_have_the_first_and_last_step():
    assert shown(3, 100, epochs=3) == ([3, 6, 9], [1, 3, 6, 9])
    assert shown(3, 4, epochs=3) == ([3, 4, 8, 9], [1, 3, 4, 8, 9])


def test_a_large_epoch_has_no_additional_lines():
    assert shown(10, 4) == ([4, 8, 12, 16, 20], [1, 4, 8, 12, 16, 20])
    assert shown(10, 3) == ([3, 6, 9, 12, 15, 18, 20], [1, 3, 6, 9, 12, 15, 18, 20])


def test_a_run_of_iterations_shows_its_last_step():
    opt = Namespace(n_iters=4, n_iters_decay=0, epoch_count=1, seed=3, batch_size=1)
    progress, due = Progress(opt, 3, 3), []
    for _ in progress.epochs():
        due += [progress.iterations for _ in progress.batches(image_batches(1, 1, 1)) if progress.is_due(100)]
    assert due == [3, 4]
