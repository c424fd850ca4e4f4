"""Models by name: ``--model cycle_gan`` is the class CycleGANModel in models/cycle_gan_model.py.

To add a model, copy models/template_model.py to such a file; there is no registry. Importing this package does not
import torch, but looking up a model does. The flags of the built-in models are in models/flags.py, so that -h needs no
torch; a user's model declares its flags in its own file.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any

from util.factory import with_users_folder

__path__ = with_users_folder(__path__, "models")

BUILT_IN = (
    *("pix2pix", "cycle_gan", "cut", "fastcut", "sincut", "dclgan", "simdcl", "stargan", "test", "colorization"),
    "template",
)
ALIASES = {"dcl": "dclgan"}

# Defaults of the contrastive models' original programs, for the built-in models and for plug-ins that override
# data_dependent_initialize. round_to_4: sizes are rounded to multiples of 4 after every --preprocess.
CONTRASTIVE_DEFAULTS = {
    "init_type": "xavier",
    "no_dropout": True,
    "no_antialias": False,
    "no_antialias_up": False,
    "round_to_4": True,
}
# A plug-in with one of these flags was written for DCLGAN, whose program has --gan_mode hinge for all models.
DCLGAN_FLAGS = {"DCL_mode", "lambda_IDT"}
CONTRASTIVE_TRAINING = {"n_epochs": 200, "n_epochs_decay": 200, "drop_last": True, "finetune_crop": True}


@functools.cache  # prints the line once
def own_name(model_name: str) -> str:
    """The name under which a model is stored: an alias is replaced, unless the user has a file of that name."""
    from util.factory import available, is_alias

    own_file = model_name in available("models", "model") and not is_alias("models", model_name, "model")
    if model_name not in ALIASES or own_file:
        return model_name
    print(f"--model {model_name} is {ALIASES[model_name]} here")
    return ALIASES[model_name]


def find_model_using_name(model_name: str) -> Any:
    """The model class of that name; InputError, with the file and class that were looked for, if it does not exist."""
    from util.factory import find_class

    return find_class("models", own_name(model_name), "model")


def get_option_setter(model_name: str) -> Callable:
    """The function (parser, is_train) -> parser that adds a model's flags and defaults."""
    from models import flags

    name = own_name(model_name)
    if _takes_flags_from_table(name):
        return flags.BY_NAME[name]
    model = find_model_using_name(name)
    if not wants_first_batch(model):
        return model.modify_commandline_options

    def setter(parser, is_train):
        parser.set_defaults(**CONTRASTIVE_DEFAULTS, **(CONTRASTIVE_TRAINING if is_train else {}))
        before = parser.get_default("gan_mode")
        parser = model.modify_commandline_options(parser, is_train)
        if DCLGAN_FLAGS & parser.names() and parser.get_default("gan_mode") == before:
            parser.set_defaults(gan_mode="hinge")
        return parser

    return setter


def is_built_in(model_name: str) -> bool:
    """Whether the name stands for a built-in model, and not for a user's file of the same name."""
    return model_name == "template" or _takes_flags_from_table(model_name)


def _takes_flags_from_table(model_name: str) -> bool:
    from models import flags
    from util.factory import takes_flags_from_table

    return model_name in flags.BY_NAME and takes_flags_from_table("models", model_name, "model")


def wants_first_batch(model):
    """Whether a model (class or instance) needs a first batch to build networks: data_dependent_initialize."""
    from models.base_model import BaseModel

    own = model if isinstance(model, type) else type(model)
    return own.data_dependent_initialize is not BaseModel.data_dependent_initialize


def translates_both_ways(model: Any) -> bool:
    """Whether a model (class or instance) has a generator for each direction: its translate() takes a direction."""
    return "direction" in inspect.signature(model.translate).parameters


def create_model(opt):
    """An instance of the model ``opt.model``; call prepare() next."""
    from models.overrides import check_overrides
    from util.factory import make
    from util.numerics.memory import explaining_out_of_memory

    with explaining_out_of_memory(opt):
        model = make(find_model_using_name(opt.model), opt)
    check_overrides(model)
    print(f"model [{type(model).__name__}] was created")
    return model


def prepare(model, dataset, opt):
    """Call the hooks of a new model in the order that plug-ins expect: first batch, setup, parallelize."""
    from models import captured_step
    from util.processes import agreement, distributed

    if opt.isTrain:
        distributed.run_on_all_ranks(lambda: agreement.check_parts(model))
    if wants_first_batch(model):
        model.data_dependent_initialize(next(iter(dataset)))
    distributed.run_on_all_ranks(lambda: model.setup(opt))
    if opt.isTrain:
        distributed.run_on_all_ranks(lambda: agreement.check_norms(model))
        agreement.share_weights(model)
    model.parallelize()
    if opt.isTrain:
        captured_step.begin(model)
