"""Data sets by name: ``--dataset_mode aligned`` is the class AlignedDataset in data/aligned_dataset.py.

To add a data set, copy data/template_dataset.py to such a file: no registration is needed.
Importing this package does not import torch; find_dataset_using_name() does. The flags of the built-in data sets are in
data/flags.py, so that -h needs no torch either; a data set of your own declares its flags in its class.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from util.factory import with_users_folder

if TYPE_CHECKING:
    from data.loading.loader import CustomDatasetDataLoader

__path__ = with_users_folder(__path__, "data")

BUILT_IN = (
    *("unaligned", "aligned", "single", "colorization", "celeba", "labelled_folders", "celeba_and_folders"),
    *("singleimage", "template"),
)


def find_dataset_using_name(dataset_name: str) -> Any:
    """The data set class of that name; raises InputError with the file and class that were expected."""
    from util.factory import find_class

    return find_class("data", dataset_name, "dataset")


def get_option_setter(dataset_name: str) -> Callable:
    """The function (parser, is_train) -> parser that adds a data set's flags and defaults."""
    from data import flags

    if _takes_flags_from_table(dataset_name):
        return flags.BY_NAME[dataset_name]
    return find_dataset_using_name(dataset_name).modify_commandline_options


def reads_plain_folders(dataset_name: str) -> bool:
    """Whether a test of that data set accepts any folder of images; otherwise ``single`` replaces it."""
    from data import flags

    if _takes_flags_from_table(dataset_name):
        return dataset_name in flags.READ_PLAIN_FOLDERS
    return getattr(find_dataset_using_name(dataset_name), "reads_plain_folders", False)


def is_built_in(dataset_name: str) -> bool:
    """Whether the class of that name is our own: a user's file may have the name of a built-in data set."""
    return dataset_name == "template" or _takes_flags_from_table(dataset_name)


def _takes_flags_from_table(dataset_name: str) -> bool:
    from data import flags
    from util.factory import takes_flags_from_table

    return dataset_name in flags.BY_NAME and takes_flags_from_table("data", dataset_name, "dataset")


def create_dataset(opt: Namespace) -> CustomDatasetDataLoader:
    """The data loader of the data set that ``opt.dataset_mode`` names.

    random, numpy and torch are seeded first, so that a data set that draws numbers in its __init__ is the same in
    every process and in a resumed run.
    """
    from data.loading.headers import check_headers
    from data.loading.loader import CustomDatasetDataLoader
    from util.numerics import seeding
    from util.processes import distributed

    def make():
        seeding.seed_dataset(opt.seed)
        return CustomDatasetDataLoader(opt)

    loader = distributed.run_on_all_ranks(make)
    if opt.isTrain:
        distributed.on_rank0(lambda: check_headers(loader.dataset, getattr(opt, "skip_bad_images", False)))
    return loader.load_data()


def __getattr__(name):
    if name == "CustomDatasetDataLoader":
        from data.loading.loader import CustomDatasetDataLoader

        return CustomDatasetDataLoader
    raise AttributeError(f"module 'data' has no attribute {name!r}")
