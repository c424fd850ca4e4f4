"""Test a trained model and write a result page: ``python test.py --dataroot ./datasets/horse2zebra --name horses``.

Architecture, preprocessing and direction come from the run; ``--model test`` translates a plain folder of images.
"""

import sys

from data import create_dataset
from models import create_model, prepare
from options.test_options import TestOptions
from util.errors import InputError, clear_errors
from util.processes import distributed


def main(cmd_line=None):
    """Translate the data set and write the result page; returns the exit code."""
    options = TestOptions(cmd_line)
    opt = options.parse()
    if len(opt.gpu_ids) > 1 or distributed.launched_several():
        raise InputError("test.py runs in one process: start it without torchrun, and give one of the --gpu_ids")
    from data.outputs import ExactFiles, open_image  # imported late: torch takes seconds, and -h should not
    from models.translator import Translator
    from models.trial import scoring_of
    from util.numerics.memory import explaining_out_of_memory
    from util.numerics.precision import backend_precision, backend_tuning
    from util.run.batch_slices import batch_size, is_paired, samples
    from util.show.bar import closing_bars
    from util.show.result_page import ResultPage

    dataset = create_dataset(opt)
    model = create_model(opt)
    with backend_precision(opt.precision), backend_tuning(opt), explaining_out_of_memory(opt), closing_bars():
        prepare(model, dataset, opt)
        if opt.eval:
            model.eval()
        options.save()
        translator = Translator(model)
        page = ResultPage(opt, len(dataset), dataset.roots(), ExactFiles(opt), model._translation_pairs())
        scoring = scoring_of(model, dataset, opt.metrics)
        for batch in samples(dataset, opt.num_test, one_by_one=translator.alone):
            visuals, paths = translator.run_batch(batch)
            saved = page.add(visuals, paths, batch_size(batch), is_paired(batch))
            scoring.add_files(saved, paths, batch, page.image_path, open_image)
    page.close(scoring.result(), len(dataset.left_out))
    return dataset.list_left_out()


if __name__ == "__main__":
    with clear_errors():
        sys.exit(main())
