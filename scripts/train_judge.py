"""Train a small classifier of domain A against domain B, for `scripts/evaluate.py --metrics judge,judge_kid`.

    python scripts/train_judge.py --domain_a datasets/shapes/trainA --domain_b datasets/shapes/trainB --output judge.pth

Every fifth image of each domain is held out; the accuracy on these images is printed and stored. B is the target
domain of the translations that are scored later; for the direction BtoA train a second file with the domains exchanged.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from data.image_folder import make_dataset
from data.pictures import open_image
from options.parser import OptionParser
from util.errors import InputError, clear_errors
from util.files import make_folder_of
from util.flags import Int
from util.metrics import judge
from util.run.folder import digest
from util.show.bar import Bar

HELD_OUT = 5  # every fifth image
FEWEST = 5  # images of a domain


def read_options(command_line):
    parser = OptionParser(command_line)
    parser.description = "Train a small classifier of two domains, which scripts/evaluate.py --judge uses."
    needed = not parser.wants_help()
    add = parser.add_argument
    add("--domain_a", required=needed, metavar="DIR", help="training images of the source domain")
    add("--domain_b", required=needed, metavar="DIR", help="training images of the target domain")
    add("--output", required=needed, metavar="FILE", help="the classifier and how it was trained")
    add("--steps", type=Int(1), default=500, help="optimizer steps of 32 images")
    add("--image_size", type=Int(16), default=64, help="height and width at which images are judged")
    add("--seed", type=Int(0), default=0, help="seed of initial weights and batches")
    return parser.parse_or_help()


def domain(flag, folder, size):
    """(images to train on, images held out) of a folder."""
    paths = make_dataset(folder)
    if len(paths) < FEWEST:
        raise InputError(f"{flag} {folder}: {len(paths)} images in it, at least {FEWEST} are needed")
    images = judge.read_all(Bar(len(paths), "images", folder).over(paths), size, open_image)
    held_out = [index % HELD_OUT == HELD_OUT - 1 for index in range(len(paths))]
    return images[[not each for each in held_out]], images[held_out]


def main(command_line=None):
    options = read_options(sys.argv[1:] if command_line is None else command_line)
    train_a, test_a = domain("--domain_a", options.domain_a, options.image_size)
    train_b, test_b = domain("--domain_b", options.domain_b, options.image_size)
    make_folder_of("--output", options.output)
    counted = Bar(options.steps, "steps").over
    classifier = judge.train(train_a, train_b, options.steps, options.seed, counted=counted)
    correct = judge.accuracy(classifier, test_a, test_b)
    about = {"steps": options.steps, "seed": options.seed, "train": [len(train_a), len(train_b)]}
    about |= {"held_out": [len(test_a), len(test_b)], "held_out_accuracy": correct}
    judge.save(classifier, options.output, about)
    print(f"{options.output}: accuracy {correct:.3f} on {len(test_a)} + {len(test_b)} images held out")
    print(f"  SHA-256 {digest(options.output)}")


if __name__ == "__main__":
    with clear_errors():
        main()
