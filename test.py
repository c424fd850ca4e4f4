"""Test a trained model and write a result page: ``python test.py --dataroot ./datasets/horse2zebra --name horses``.

Architecture, preprocessing and direction come from the run; ``--model test`` translates a plain folder of images.
"""

import os

from data import create_dataset
from models import create_model, prepare
from options.test_options import TestOptions
from util.errors import InputError, clear_errors
from util.processes import distributed


def main(cmd_line=None):
    options = TestOptions(cmd_line)
    opt = options.parse()
    if len(opt.gpu_ids) > 1 or distributed.launched_several():
        raise InputError("test.py works in one process: start it with python, and give one of the --gpu_ids")
    run(opt, options)


def run(opt, options):
    # Imported when the flags are understood: torch takes seconds, and -h should not.
    from util.html import HTML
    from util.numerics.memory import explaining_out_of_memory
    from util.numerics.precision import backend_precision

    dataset = create_dataset(opt)
    model = create_model(opt)
    with backend_precision(opt.precision), explaining_out_of_memory(opt):
        prepare(model, dataset, opt)
        if opt.eval:
            model.eval()
        options.save()
        page = HTML(results_folder(opt), f"Experiment = {opt.name}, Phase = {opt.phase}, Epoch = {opt.epoch}")
        wanted = min(len(dataset), opt.num_test)
        done = translate(opt, dataset, model, page, wanted)
    page.save()
    print(f"wrote {done} of {len(dataset)} images: {os.path.join(page.web_dir, 'index.html')}")
    if done < wanted:
        raise InputError(f"only {done} of {wanted} images could be tested")


def translate(opt, dataset, model, page, wanted):
    """The first `wanted` images of the data set, each to its place on the page; returns how many there were."""
    from data.loading.headers import roots_of
    from util.numerics import seeding
    from util.run.progress import batch_size, split_batch
    from util.show.results import save_images

    done = 0
    for batch in dataset:
        # One by one where batch statistics or dropout would let the other images of a batch change the picture.
        for data in split_batch(batch, limit=wanted - done, one_by_one=model.mixes_samples()):
            seeding.seed_step(opt.seed, done)
            model.set_input(data)
            model.test()
            paths = model.get_image_paths()
            if done % 5 == 0:
                print(f"processing ({done:04d})-th image... {paths}")
            save_images(
                page,
                model.get_current_visuals(),
                paths,
                aspect_ratio=opt.aspect_ratio,
                width=opt.display_winsize,
                layout=opt.results_layout,
                root=roots_of(dataset.dataset, opt.dataroot),
            )
            done += batch_size(data)
        if done >= wanted:
            break
    return done


def results_folder(opt):
    tag = f"{opt.phase}_{opt.epoch}" + (f"_iter{opt.load_iter}" if opt.load_iter > 0 else "")
    return os.path.join(opt.results_dir, opt.name, tag)


if __name__ == "__main__":
    with clear_errors():
        main()
