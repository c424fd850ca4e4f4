"""How the learning rate goes over the epochs: one word of --lr_policy each.

A scheduler is stepped at the end of every epoch; k = epoch_count + (epochs done) is the epoch about to be trained.
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


POLICIES = {"linear": _linear, "step": _step, "plateau": _plateau, "cosine": _cosine}


def get_scheduler(optimizer, opt):
    """The scheduler that opt.lr_policy names; reads epoch_count, n_epochs, n_epochs_decay and lr_decay_iters."""
    if opt.lr_policy not in POLICIES:
        raise ValueError(f"--lr_policy {opt.lr_policy}: choose one of {', '.join(POLICIES)}")
    return POLICIES[opt.lr_policy](optimizer, opt)
