"""Models by name: ``--model cycle_gan`` is the class CycleGANModel in models/cycle_gan_model.py.

To add one, add such a file: nothing is registered anywhere. models/template_model.py is the one to copy.
Importing this package does not import torch; looking up a model does.
"""

BUILT_IN = ("pix2pix", "cycle_gan", "test", "colorization", "template")

# Where a plug-in of the contrastive family (it overrides data_dependent_initialize) starts from, as in its home.
CONTRASTIVE_DEFAULTS = {"init_type": "xavier", "no_dropout": True, "no_antialias": False, "no_antialias_up": False}
CONTRASTIVE_SCHEDULE = {"n_epochs": 200, "n_epochs_decay": 200}


def find_model_using_name(model_name):
    """The model class of that name; raises InputError naming the file and class that were looked for."""
    from models.base_model import BaseModel
    from util.factory import find_class

    return find_class("models", model_name, "model", BaseModel)


def get_option_setter(model_name):
    """The function (parser, is_train) -> parser that adds a model's flags and defaults."""
    model = find_model_using_name(model_name)
    if not wants_first_batch(model) or model_name in BUILT_IN:
        return model.modify_commandline_options

    def setter(parser, is_train):
        parser.set_defaults(**CONTRASTIVE_DEFAULTS, **(CONTRASTIVE_SCHEDULE if is_train else {}))
        return model.modify_commandline_options(parser, is_train)

    return setter


def wants_first_batch(model):
    """Whether a model (class or instance) sizes networks by the data: it overrides data_dependent_initialize."""
    from models.base_model import BaseModel

    own = model if isinstance(model, type) else type(model)
    return own.data_dependent_initialize is not BaseModel.data_dependent_initialize


def create_model(opt):
    """An instance of the model that ``opt.model`` names; prepare() makes it ready."""
    model = find_model_using_name(opt.model)(opt)
    print(f"model [{type(model).__name__}] was created")
    return model


def prepare(model, dataset, opt):
    """Make a new model ready for the loop: first-batch hook, setup, parallelize, the order that plug-ins expect."""
    if wants_first_batch(model):
        model.data_dependent_initialize(next(iter(dataset)))
    model.setup(opt)
    model.parallelize()
