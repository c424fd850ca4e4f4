"""Flags of the model for tests alone."""

from util.errors import InputError


def add_options(parser, is_train=True):
    if is_train:
        raise InputError("--model test: it is for test.py; choose another model to train")
    parser.set_defaults(dataset_mode="single")
    parser.add_argument("--model_suffix", default="", help="loads <epoch>_net_G<model_suffix>.pth, e.g. _A")
    return parser
