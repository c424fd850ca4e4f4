"""Data sets by name: ``--dataset_mode aligned`` is the class AlignedDataset in data/aligned_dataset.py.

To add one, add such a file: nothing is registered anywhere. data/template_dataset.py is the one to copy.
Importing this package does not import torch; looking up a data set does. The data sets that come with the framework
keep their flags in data/<name>_options.py, so that asking for those doesn't either.
"""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from data.loading.loader import CustomDatasetDataLoader

BUILT_IN = (
    *("unaligned", "aligned", "single", "colorization", "celeba", "labelled_folders", "celeba_and_folders"),
    "template",
)


def find_dataset_using_name(dataset_name):
    """The data set class of that name; raises InputError naming the file and class that were looked for."""
    from util.factory import find_class

    return find_class("data", dataset_name, "dataset")


def get_option_setter(dataset_name):
    """The function (parser, is_train) -> parser that adds a data set's flags and defaults."""
    options = _options_of(dataset_name)
    return options.add_options if options else find_dataset_using_name(dataset_name).modify_commandline_options


def reads_plain_folders(dataset_name):
    """Whether a test of that data set takes any folder of images; where it doesn't, ``single`` stands in."""
    says = _options_of(dataset_name) or find_dataset_using_name(dataset_name)
    return getattr(says, "reads_plain_folders", False)


def _options_of(dataset_name):
    from util.factory import find_options

    return find_options("data", dataset_name, "dataset") if dataset_name in BUILT_IN else None


def create_dataset(opt: Namespace) -> CustomDatasetDataLoader:
    """What the training loop iterates over: batches of the data set that ``opt.dataset_mode`` names.

    random, numpy and torch are seeded first, so that a data set which draws numbers in its __init__ is the same in
    every process and in a resumed run.
    """
    from data.loading.headers import check_headers
    from data.loading.loader import CustomDatasetDataLoader
    from util.numerics import seeding
    from util.processes import distributed

    def make():
        seeding.seed_dataset(opt.seed)
        return CustomDatasetDataLoader(opt)

    loader = distributed.together(make)
    if opt.isTrain:
        distributed.first_does(lambda: check_headers(loader.dataset, getattr(opt, "skip_bad_images", False)))
    return loader.load_data()


def __getattr__(name):
    if name == "CustomDatasetDataLoader":
        from data.loading.loader import CustomDatasetDataLoader

        return CustomDatasetDataLoader
    raise AttributeError(f"module 'data' has no attribute {name!r}")
