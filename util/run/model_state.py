"""Everything of a model that changes in training, taken out as tensors and plain values, and put back."""

import torch

from util.errors import InputError
from util.image_pool import ImagePool
from util.run import weights

STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def model_state(model):
    """Everything of a model that changes in training, as tensors and plain values."""
    state = {
        "networks": {name: weights.unwrap(net).state_dict() for name, net in model.networks_by_name().items()},
        "optimizers": [optimizer.state_dict() for optimizer in model.optimizers],
        "schedulers": [scheduler.state_dict() for scheduler in model.schedulers],
        "pools": pools(model),
        "scalers": model._precision.state_dict(),
    }
    if callable(getattr(model, "state_dict", None)):  # a plug-in with more to remember
        state["own"] = model.state_dict()
    return state


def pools(model):
    return {name: pool.state_dict() for name, pool in vars(model).items() if isinstance(pool, ImagePool)}


def own_state(model):
    """What a process of a run does not share with the others: its pools and its norms' running statistics."""
    return {"pools": pools(model), "statistics": statistics(model)}


def statistics(model):
    return {
        name: {key: value for key, value in net.named_buffers() if key.rpartition(".")[2] in STATISTICS}
        for name, net in model.networks_by_name().items()
    }


def load_own_state(model, state):
    """Put back what own_state() took out, of the same process or of another."""
    for name, own in state["pools"].items():
        getattr(model, name).load_state_dict(own)
    here = statistics(model)
    for name, found in state["statistics"].items():
        for key, value in found.items():
            here[name][key].copy_(value)


def load_model_state(model, state, path):
    nets = model.networks_by_name()
    if set(nets) != set(state["networks"]) or len(model.optimizers) != len(state["optimizers"]):
        raise InputError(f"{path}: made by another kind of model (its networks: {', '.join(state['networks'])})")
    for name, net in nets.items():
        weights.fit(net, state["networks"][name], path)
    for optimizer, own in zip(model.optimizers, state["optimizers"]):
        load_optimizer(optimizer, own)
    for optimizer, scheduler, own in zip(model.optimizers, model.schedulers, state["schedulers"]):
        load_scheduler(scheduler, own, optimizer)
    for name, own in state["pools"].items():
        getattr(model, name).load_state_dict(own)
    model._precision.load_state_dict(state.get("scalers", {}))
    if "own" in state:
        model.load_state_dict(state["own"])


def load_optimizer(optimizer, state):
    """Moments and step counts come from the state; --beta1 and the like, and the scale of the rate, from the flags."""
    fresh = [{k: v for k, v in group.items() if k != "params"} for group in optimizer.param_groups]
    optimizer.load_state_dict(state)
    for parameter, own in optimizer.state.items():
        for name, value in own.items():  # in the layout of the parameter, which --channels_last may have changed
            if torch.is_tensor(value) and value.shape == parameter.shape and value.stride() != parameter.stride():
                own[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
    for group, flags in zip(optimizer.param_groups, fresh):
        scale = flags["initial_lr"] / group.get("initial_lr", flags["initial_lr"])
        group.update({**flags, "lr": group["lr"] if scale == 1 else group["lr"] * scale})


def load_scheduler(scheduler, state, optimizer):
    """Its position comes from the state; where the rate is a function of the position, the flags say which."""
    fresh = list(scheduler.base_lrs) if hasattr(scheduler, "base_lrs") else None
    if set(state) == set(scheduler.state_dict()):
        scheduler.load_state_dict(state)
    else:  # another --lr_policy than before
        scheduler.last_epoch = state["last_epoch"]
    if fresh is not None:
        scheduler.base_lrs = fresh
    if isinstance(scheduler, torch.optim.lr_scheduler.LambdaLR):
        for group, base, factor in zip(optimizer.param_groups, scheduler.base_lrs, scheduler.lr_lambdas):
            group["lr"] = base * factor(scheduler.last_epoch)
