"""Flags of ``--dataset_mode single``: none beside those that all data sets have."""


def add_options(parser, is_train):
    return parser
