"""Score generated images against real images: pairs, sets, label images, content; with intervals and provenance.

    python scripts/evaluate.py --real datasets/shapes/testB --fake results/shapes/fake_B --paired \
        --metrics l1,psnr,ssim --output scores.json
    python scripts/evaluate.py --real datasets/horse2zebra/testB --fake results/zebras --metrics fid,kid \
        --output scores.json
    python scripts/evaluate.py --run checkpoints/horses --epochs all --metrics kid,edges --output curve.json

The last form scores the checkpoints of a run as test.py does, draws a curve beside the JSON file and prints the best.

Exit code: 0 all metrics were computed, 1 some were skipped (the JSON file lists the reasons), 2 the input is wrong.
docs/evaluation.md explains the metrics.
"""

import math
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from data.image_folder import make_dataset
from data.pictures import open_image
from options.parser import OptionParser
from scripts import run_curve
from util import evaluation
from util.errors import InputError, clear_errors
from util.files import make_folder_of
from util.flags import Int, count
from util.metrics.report import table, write_scores
from util.metrics.table import METRICS, OF_PHOTOS, need_judge, parse
from util.numerics import device, memory


def images_of(flag, folder):
    """The images below a folder by name, the path below the folder without extension."""
    if not os.path.isdir(folder):
        raise InputError(f"{flag} {folder}: there is no such folder")
    files = {}
    for path in make_dataset(folder):
        name = Path(os.path.splitext(os.path.relpath(path, folder))[0]).as_posix()
        if name in files:
            raise InputError(f"{flag} {folder}: two images are called '{name}' ({files[name]}, {path}); remove one")
        files[name] = path
    return evaluation.Images(files, open_image, f"{flag} {folder}")


def read_options(command_line):
    parser = OptionParser(command_line)
    parser.description = "Score generated images against real images. Exit code 1: some metrics were skipped."
    parser.about_words = "name folders of images with --real and --fake, or the folder of a run with --run"
    add = parser.add_argument
    add("--real", metavar="DIR", help="real images of the target domain, or the true label images")
    add("--fake", metavar="DIR", help="generated images, or the predicted label images")
    add("--paired", action="store_true", help="images of the same name (without extension) belong together")
    add("--metrics", metavar="A,B", help=f"of {', '.join(evaluation.NAMES)} (required)")
    add("--output", metavar="F.json", help="write values, intervals and provenance there (required)")
    add("--input", metavar="DIR", help="the images that --fake are translations of, for edges (else: --real)")
    add("--metric_weights", metavar="PATH", help="file, or folder of files, of published network weights")
    add("--judge", metavar="FILE", help="a classifier of scripts/train_judge.py, for judge and judge_kid")
    add("--ignore_label", type=Int(0), default=255, help="label of pixels that are not counted")
    add("--batch_size", type=Int(1), default=16, help="images at a time in feature networks; changes no value")
    add("--seed", type=Int(0), default=0, help="seed of the bootstrap")
    add("--resamples", type=Int(0), default=1000, help="resamples of the bootstrap; 0: no intervals")
    add("--run", metavar="DIR", help="instead of --real and --fake: score the checkpoints of this run's folder")
    add("--epochs", default="all", metavar="A,B", help="with --run: all, or epochs joined by commas, also latest, best")
    add("--dataroot", metavar="DIR", help="with --run: the data (none given: that of the training)")
    add("--phase", metavar="P", help="with --run: part of the data (none given: val, or test where there is no val)")
    add("--max_images", type=count, default=math.inf, help="with --run: score this many images at most")
    add("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps, for feature networks")
    options = parser.parse_or_help()
    for name, mend in (("metrics", f"of {', '.join(evaluation.NAMES)}"), ("output", "the JSON file to write")):
        if getattr(options, name) is None:
            raise InputError(f"--{name}: missing; give {mend}")
    options.metrics = parse(options.metrics, "--metrics", OF_PHOTOS if options.run is not None else METRICS)
    check_places(options, parser.given())
    return options


def check_places(options, given):
    """InputError unless two folders or a run are given, without flags of the other form."""
    of_folders, of_run = {"real", "fake", "paired", "input"}, {"epochs", "dataroot", "phase", "max_images"}
    for name in sorted(given & (of_folders if options.run is not None else of_run)):
        raise InputError(f"--{name}: it is {'not for' if options.run is not None else 'only for'} --run")
    if options.run is not None:
        return need_judge(options.metrics, options.judge, "--metrics")
    for name in ("real", "fake"):
        if getattr(options, name) is None:
            raise InputError(f"--{name}: missing; give the folder, or --run with the folder of a run")
    evaluation.check_names(options.metrics, options.paired, options.input is not None, options.judge)


def main(command_line=None):
    """Score, print, write; return the exit code."""
    options = read_options(sys.argv[1:] if command_line is None else command_line)
    memory.keep_freed_memory()
    if options.run is not None:
        make_folder_of("--output", options.output)
        return run_curve.main(options)
    real, fake = images_of("--real", options.real), images_of("--fake", options.fake)
    inputs = images_of("--input", options.input) if options.input is not None else None
    settings = evaluation.Settings(
        metric_weights=options.metric_weights,
        judge=options.judge,
        device=device.resolve(options.device, None)[0],
        batch_size=options.batch_size,
        seed=options.seed,
        resamples=options.resamples,
        ignored=options.ignore_label,
    )
    make_folder_of("--output", options.output)
    scores = evaluation.evaluate(real, fake, options.metrics, settings, options.paired, inputs)
    write_scores(options.output, scores)
    print(table(scores))
    return 1 if scores["skipped"] else 0


if __name__ == "__main__":
    with clear_errors():
        sys.exit(main())
