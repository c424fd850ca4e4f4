"""Flags of colorization: those of pix2pix, on data of its own."""

from models import get_option_setter


def add_options(parser, is_train=True):
    parser = get_option_setter("pix2pix")(parser, is_train)
    parser.set_defaults(dataset_mode="colorization")
    return parser
