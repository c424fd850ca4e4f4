"""What --lr_G, --lr_D and the options for stable discriminators do with a model that has been built."""

from typing import Any

from models.augment import DiffAugment
from util.errors import InputError

# Flag -> its value when it is off, of flags that a model reads where it is built.
READ_IN_BUILDING = {"lr_G": None, "lr_D": None}


def begin(model: Any) -> None:
    """At the end of setup() in training: reports flags without effect, and installs the hook of --diffaugment."""
    for name, off in READ_IN_BUILDING.items():
        if getattr(model.opt, name, off) != off and name not in model._flags_read:
            print(f"--{name}: {type(model).__name__} is built without it: no effect unless the model reads it")
    if getattr(model.opt, "diffaugment", None) is not None:
        augment(model, model.opt.diffaugment.split(","))


def augment(model: Any, kinds: list[str]) -> None:
    """Let every discriminator augment the images that it gets, in all updates; see models/augment.py."""
    nets = model.networks_by_name()
    for name in _discriminators(model, "diffaugment"):
        nets[name].register_forward_pre_hook(DiffAugment(kinds, getattr(nets[name], "judged_channels", None)))


def _discriminators(model, flag):
    if not model.discriminator_losses:
        raise InputError(
            f"--{flag}: --model {model.opt.model} declares no discriminator_losses, so there is no discriminator for it"
        )
    return model.discriminator_losses
