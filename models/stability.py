"""What --lr_G, --lr_D and the options for stable discriminators do with a model that has been built."""

from typing import Any

from models.augment import DiffAugment
from models.losses import GANLoss
from util.errors import InputError

# Flag -> its value when it is off, of flags that a model reads where it is built.
READ_IN_BUILDING = {"lr_G": None, "lr_D": None, "spectral_norm": False}


def begin(model: Any) -> None:
    """At the end of setup(), for training: reports flags without effect, and installs the hook of --diffaugment."""
    if not model.isTrain:
        return
    opt = getattr(type(model.opt), "framework", model.opt)  # without the values of flags that a plug-in has redefined
    for name, off in READ_IN_BUILDING.items():
        if getattr(opt, name, off) != off and name not in model._flags_read:
            print(f"--{name}: {type(model).__name__} is built without it: no effect unless the model reads it")
    for name in ("lambda_r1", "label_smoothing"):
        if getattr(opt, name, 0) and not model.discriminator_losses:
            print(f"--{name}: {type(model).__name__} declares no discriminator: no effect unless the model reads it")
    own = not isinstance(getattr(model, "criterionGAN", None), GANLoss)
    if getattr(opt, "label_smoothing", 0) and model.discriminator_losses and own:
        print(f"--label_smoothing: {type(model).__name__} has no GANLoss as criterionGAN: no effect")
    if getattr(opt, "diffaugment", None) is not None:
        augment(model, opt.diffaugment.split(","))


def augment(model: Any, kinds: list[str]) -> None:
    """Let every discriminator augment the images that it gets, in all updates; see models/augment.py."""
    if not model.discriminator_losses:
        raise InputError(
            f"--diffaugment: --model {model.opt.model} declares no discriminator_losses, so no discriminator is known"
        )
    nets = model.networks_by_name()
    for name in model.discriminator_losses:
        nets[name].register_forward_pre_hook(DiffAugment(kinds, getattr(nets[name], "judged_channels", None)))
