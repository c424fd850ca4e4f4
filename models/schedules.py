"""Learning rate schedules, one for each value of --lr_policy.

A scheduler is stepped at the end of every epoch; k = epoch_count + (epochs done) is the next epoch to train.
In a run that counts iterations (--n_iters) it is stepped after every --lr_update_step iterations.
"""

import functools
import math

import torch
from torch.optim import lr_scheduler


def linear_factor(epochs_done: int, epoch_count: int, n_epochs: int, n_epochs_decay: int) -> float:
    """1 up to epoch n_epochs, then decreasing in equal steps, which would reach 0 after the last epoch."""
    past = max(0, epoch_count + epochs_done - n_epochs)
    return max(0.0, 1.0 - past / (n_epochs_decay + 1))


def cosine_factor(epochs_done: int, epoch_count: int, n_epochs: int, n_epochs_decay: int) -> float:
    """Half a cosine over the whole run. (That of the originals is 0 after n_epochs and rises in the decay epochs.)"""
    total = n_epochs + n_epochs_decay
    passed = min(epoch_count - 1 + epochs_done, total)
    return 0.5 * (1 + math.cos(math.pi * passed / max(total, 1)))


def _by_factor(factor, optimizer, opt):
    # A partial, not a closure, so that the scheduler's state dict contains no copy of the options.
    spans = {"epoch_count": opt.epoch_count, "n_epochs": opt.n_epochs, "n_epochs_decay": opt.n_epochs_decay}
    return lr_scheduler.LambdaLR(optimizer, functools.partial(factor, **spans))


def _linear(optimizer, opt):
    return _by_factor(linear_factor, optimizer, opt)


def _cosine(optimizer, opt):
    return _by_factor(cosine_factor, optimizer, opt)


def _step(optimizer, opt):
    # As in the originals, a run continued with --epoch_count counts epochs from 0 again.
    return lr_scheduler.StepLR(optimizer, step_size=opt.lr_decay_iters, gamma=0.1)


def _plateau(optimizer, opt):
    # step() of this scheduler takes the metric.
    mode = getattr(opt, "plateau_mode", "min")
    return lr_scheduler.ReduceLROnPlateau(optimizer, mode=mode, factor=0.2, threshold=0.01, patience=5)


def linear_by_iteration(updates: int, step: int, n_iters: int, n_iters_decay: int) -> float:
    """1 for n_iters iterations, then decreasing to 0 after the last iteration."""
    past = max(0, updates * step - n_iters)
    return max(0.0, 1.0 - past / max(n_iters_decay, 1))


def linear_as_released(updates: int, step: int, n_iters: int, n_iters_decay: int) -> float:
    """StarGAN's schedule: decreases by 1 / n_iters_decay per update of the rate, not per iteration: 0.1 % in total."""
    return 1.0 - max(0, updates - n_iters // step) / max(n_iters_decay, 1)


def cosine_by_iteration(updates: int, step: int, n_iters: int, n_iters_decay: int) -> float:
    """Half a cosine over all iterations."""
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


def get_scheduler(optimizer: torch.optim.Optimizer, opt) -> lr_scheduler.LRScheduler:
    """The scheduler for opt.lr_policy.

    Reads epoch_count, n_epochs, n_epochs_decay and lr_decay_iters, or else n_iters, n_iters_decay, lr_update_step.
    """
    if opt.lr_policy not in POLICIES:
        raise ValueError(f"--lr_policy {opt.lr_policy}: choose one of {', '.join(POLICIES)}")
    if opt.lr_policy != "plateau" and getattr(opt, "n_iters", 0) + getattr(opt, "n_iters_decay", 0):
        return _by_iteration(optimizer, opt)
    return POLICIES[opt.lr_policy](optimizer, opt)


def advance(schedulers, optimizer: torch.optim.Optimizer, opt, metric: float | None) -> None:
    """Step the schedulers, and print a change of the optimizer's rate. `metric` is what opt.lr_policy plateau follows;
    None where an epoch had no evaluation."""
    before = optimizer.param_groups[0]["lr"]
    for scheduler in schedulers:
        if opt.lr_policy != "plateau":
            scheduler.step()
        elif metric is not None:
            scheduler.step(metric)
    after = optimizer.param_groups[0]["lr"]
    by_iteration = getattr(opt, "n_iters", 0) + getattr(opt, "n_iters_decay", 0)  # see the loss lines
    if after != before and not by_iteration:
        print(f"learning rate {before:.7f} -> {after:.7f}")
