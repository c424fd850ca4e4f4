"""Checks of --lr_G, --lr_D and the flags for stable discriminators on a model that has been built."""

from typing import Any

from models.augment import DiffAugment
from models.losses import GANLoss
from util.errors import InputError

# Flag -> its value when it is off, for flags that a model reads in __init__.
READ_IN_BUILDING = {"lr_G": None, "lr_D": None, "spectral_norm": False}


def begin(model: Any) -> None:
    """Called at the end of setup(): in training, reports flags without effect and applies --diffaugment."""
    if not model.isTrain:
        return
    opt = model._own
    for name, off in READ_IN_BUILDING.items():
        if getattr(opt, name, off) != off and name not in model._flags_read:
            print(f"--{name}: {type(model).__name__} is built without it: no effect unless the model reads it")
    check_scales(model, opt)
    watch_terms(model)
    for name in ("lambda_r1", "label_smoothing"):
        if getattr(opt, name, 0) and not model.discriminator_losses:
            print(f"--{name}: {type(model).__name__} declares no discriminator: no effect unless the model reads it")
    own = not isinstance(getattr(model, "criterionGAN", None), GANLoss)
    if getattr(opt, "label_smoothing", 0) and model.discriminator_losses and own:
        print(f"--label_smoothing: {type(model).__name__} has no GANLoss as criterionGAN: no effect")
    if getattr(opt, "diffaugment", None) is not None:
        augment(model, opt.diffaugment.split(","))


def check_scales(model: Any, opt: Any) -> None:
    """Refuse --num_D for a model that builds its discriminators itself, or has a loss for one map of logits only."""
    number, kind = getattr(opt, "num_D", 1), type(model).__name__
    if number > 1 and "num_D" not in model._flags_read:
        raise InputError(f"--num_D {number}: {kind} does not build its discriminators by make_D(); leave it out")
    if number > 1 and not isinstance(getattr(model, "criterionGAN", None), GANLoss):
        raise InputError(
            f"--num_D {number}: {kind} has no GANLoss as criterionGAN, which adds up the losses of the scales; leave "
            "the flag out"
        )


def watch_terms(model: Any) -> None:
    """At the generators' updates, refuse the terms of models/paired.py if an override leaves them out."""
    weights = {name: getattr(model, f"_{name}", 0) for name in ("lambda_feat", "lambda_perceptual")}
    if not any(weights.values()):
        return

    def check(optimizer, args, kwargs):
        for name, weight in weights.items():
            if weight and name not in model._flags_read:
                raise InputError(
                    f"--{name} {weight}: the generator's loss of {type(model).__name__} lacks the term; "
                    "call judge() and with_terms() as in models/pix2pix_model.py, or leave the flag out"
                )

    for optimizer in model.optimizers:
        if model._trains(optimizer, model.generator_names):
            optimizer.register_step_post_hook(check)


def augment(model: Any, kinds: list[str]) -> None:
    """Augment the input of every discriminator, in all updates; see models/augment.py."""
    if not model.discriminator_losses:
        raise InputError(
            f"--diffaugment: --model {model.opt.model} declares no discriminator_losses, which name its discriminators"
        )
    nets = model.networks_by_name()
    for name in model.discriminator_losses:
        nets[name].register_forward_pre_hook(DiffAugment(kinds, getattr(nets[name], "judged_channels", None)))
