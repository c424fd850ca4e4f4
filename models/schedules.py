"""How the learning rate goes over the epochs: one word of --lr_policy each.

A scheduler is stepped at the end of every epoch; k = epoch_count + (epochs done) is the epoch about to be trained.
In a run that counts iterations (--n_iters) it is stepped after every --lr_update_step of them.
"""

import functools
import math

from torch.optim import lr_scheduler


def linear_factor(epochs_done, epoch_count, n_epochs, n_epochs_decay):
    """1 up to epoch n_epochs, then in equal steps down; 0 only after the last epoch."""
    past = max(0, epoch_count + epochs_done - n_epochs)
    return max(0.0, 1.0 - past / (n_epochs_decay + 1))


def cosine_factor(epochs_done, epoch_count, n_epochs, n_epochs_decay):
    """Half a cosine over the whole run; the originals' reached 0 after n_epochs and rose again in the decay epochs."""
    total = n_epochs + n_epochs_decay
    passed = min(epoch_count - 1 + epochs_done, total)
    return 0.5 * (1 + math.cos(math.pi * passed / max(total, 1)))


def _by_factor(factor, optimizer, opt):
    # A partial and no closure: the scheduler's state then holds its position alone, and no copy of the options.
    spans = {"epoch_count": opt.epoch_count, "n_epochs": opt.n_epochs, "n_epochs_decay": opt.n_epochs_decay}
    return lr_scheduler.LambdaLR(optimizer, functools.partial(factor, **spans))


def _linear(optimizer, opt):
    return _by_factor(linear_factor, optimizer, opt)


def _cosine(optimizer, opt):
    return _by_factor(cosine_factor, optimizer, opt)


def _step(optimizer, opt):
    # Counts from the start of this process, as the originals: a run continued at a later epoch_count starts anew.
    return lr_scheduler.StepLR(optimizer, step_size=opt.lr_decay_iters, gamma=0.1)


def _plateau(optimizer, opt):
    # Its step() takes the metric to watch.
    return lr_scheduler.ReduceLROnPlateau(optimizer, mode="min", factor=0.2, threshold=0.01, patience=5)


def linear_by_iteration(updates, step, n_iters, n_iters_decay):
    """1 for n_iters iterations, then down to 0 after the last one."""
    past = max(0, updates * step - n_iters)
    return max(0.0, 1.0 - past / max(n_iters_decay, 1))


def linear_as_released(updates, step, n_iters, n_iters_decay):
    """StarGAN's: it takes 1 / n_iters_decay off at an update, not at an iteration: 0.1 % in all with its settings."""
    return 1.0 - max(0, updates - n_iters // step) / max(n_iters_decay, 1)


def cosine_by_iteration(updates, step, n_iters, n_iters_decay):
    total = n_iters + n_iters_decay
    return 0.5 * (1 + math.cos(math.pi * min(updates * step / total, 1)))


BY_ITERATION = {"linear": linear_by_iteration, "cosine": cosine_by_iteration}


def _by_iteration(optimizer, opt):
    step, spans = opt.lr_update_step, {"n_iters": opt.n_iters, "n_iters_decay": opt.n_iters_decay}
    if opt.lr_policy == "step":
        return lr_scheduler.StepLR(optimizer, step_size=max(1, opt.lr_decay_iters // step), gamma=0.1)
    released = getattr(opt, "original_lr_decay", False) and opt.lr_policy == "linear"
    factor = linear_as_released if released else BY_ITERATION[opt.lr_policy]
    return lr_scheduler.LambdaLR(optimizer, functools.partial(factor, step=step, **spans))


POLICIES = {"linear": _linear, "step": _step, "plateau": _plateau, "cosine": _cosine}


def get_scheduler(optimizer, opt):
    """The scheduler that opt.lr_policy names.

    Reads epoch_count, n_epochs, n_epochs_decay and lr_decay_iters, or else n_iters, n_iters_decay, lr_update_step.
    """
    if opt.lr_policy not in POLICIES:
        raise ValueError(f"--lr_policy {opt.lr_policy}: choose one of {', '.join(POLICIES)}")
    if opt.lr_policy != "plateau" and getattr(opt, "n_iters", 0) + getattr(opt, "n_iters_decay", 0):
        return _by_iteration(optimizer, opt)
    return POLICIES[opt.lr_policy](optimizer, opt)
