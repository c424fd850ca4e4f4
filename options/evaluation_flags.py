"""The flags of evaluation: metrics in training and in a test. No function imports torch."""

from options.parser import OptionParser
from util.flags import Int, count, words
from util.metrics.table import OF_PHOTOS

TOPIC = "evaluation"


def add_both(parser: OptionParser) -> None:
    flag = parser.topic(TOPIC, scope="machine")
    help = "file, or folder of files, with the published network weights that lpips, fid and kid need"
    flag("--metric_weights", metavar="PATH", help=help, resume=True)
    help = "a classifier of scripts/train_judge.py, for the metrics judge and judge_kid"
    flag("--judge", metavar="FILE", help=help, resume=True)


def add_training(parser: OptionParser) -> None:
    flag = parser.topic(TOPIC, scope="training")
    help = "images between two evaluations, on the val images, otherwise on the test images; needs --eval_metrics"
    flag("--eval_freq", type=Int(1), help=help, common=True)
    help = f"metrics joined by commas: {words(OF_PHOTOS)}"
    flag("--eval_metrics", metavar="A,B", help=help, common=True)
    flag("--eval_max_images", type=count, default=float("inf"), help="largest number of images in an evaluation")
    help = "keep the checkpoint with the best value of this metric as best_* (none given: no such checkpoint)"
    flag("--best_metric", metavar="A", help=help)


def add_testing(parser: OptionParser) -> None:
    help = f"score the translations and write metrics.json beside the page: {words(OF_PHOTOS)}, joined by commas"
    parser.topic(TOPIC, scope="run")("--metrics", metavar="A,B", help=help, common=True)
