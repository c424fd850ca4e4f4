"""The state of a model in training, as tensors and plain values, and the state files of a run."""

import os
from typing import NamedTuple

import torch

from util.errors import InputError
from util.image_pool import ImagePool
from util.run import folder as run_folder
from util.run import weights

FORMAT = 1
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


class ModelState:
    """The state of a model in a checkpoint.

    It holds the networks (``model_names``), optimizers, schedulers, image pools (``pool_names``), loss scales, and the
    extras that the model's own state_dict() returns. A separate class, because plug-ins use the name state_dict on
    their models: for their extras, or for an attribute that is not a method.
    """

    def __init__(self, model):
        self.model = model

    def state_dict(self) -> dict:
        return model_state(self.model)

    def load_state_dict(self, state: dict, path: str) -> None:
        load_model_state(self.model, state, path)

    def own_state_dict(self) -> dict:
        """The parts that differ between the ranks of a run: image pools and the running statistics of norms."""
        return {"pools": pool_states(self.model), "statistics": statistics(self.model)}

    def load_own_state_dict(self, state: dict) -> None:
        """Load what own_state_dict() returned, on the same rank or on another."""
        load_own_state(self.model, state)


def model_state(model) -> dict:
    """Everything in a model that changes in training, as tensors and plain values."""
    state = {
        "networks": {name: weights.unwrap(net).state_dict() for name, net in model.networks_by_name().items()},
        "optimizers": [optimizer.state_dict() for optimizer in model.optimizers],
        "schedulers": [scheduler.state_dict() for scheduler in model.schedulers],
        "pools": pool_states(model),
        "scalers": model._precision.state_dict(),
    }
    if getattr(getattr(model, "_own", None), "lambda_r1", 0):  # --lazy_r1 counts steps
        state["steps"] = model._steps_begun
    if getattr(model, "_ema", None) is not None:
        state["ema"] = model._ema.state_dict()
    if callable(getattr(model, "state_dict", None)):  # extras: StarGAN's iteration, the state of a plug-in
        state["own"] = model.state_dict()
    return state


def pools_of(model) -> dict:
    """Name -> image pool: the pools that the model declares in ``pool_names``, then undeclared pools.

    This is the only place that searches the attributes of a model. Plug-ins written for the original programs can't
    declare their pools, and without the search their runs would not resume exactly.
    """
    declared = {name: getattr(model, name) for name in getattr(model, "pool_names", ()) if hasattr(model, name)}
    return declared | {name: pool for name, pool in vars(model).items() if isinstance(pool, ImagePool)}


def pool_states(model) -> dict:
    return {name: pool.state_dict() for name, pool in pools_of(model).items()}


def statistics(model):
    return {
        name: {key: value for key, value in net.named_buffers() if key.rpartition(".")[2] in STATISTICS}
        for name, net in model.networks_by_name().items()
    }


def load_own_state(model, state):
    """Load the image pools and running statistics of a rank."""
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
    rates = [[group["lr"] for group in optimizer.param_groups] for optimizer in model.optimizers]  # from the flags
    for optimizer, own in zip(model.optimizers, state["optimizers"]):
        load_optimizer(optimizer, own)
    for optimizer, scheduler, own, first in zip(model.optimizers, model.schedulers, state["schedulers"], rates):
        load_scheduler(scheduler, own, optimizer, first)
    for name, own in state["pools"].items():
        getattr(model, name).load_state_dict(own)
    model._precision.load_state_dict(state.get("scalers", {}))
    load_averages(model, state, path)
    model._steps_begun = state.get("steps", 0)
    if "own" in state:
        model.load_state_dict(state["own"])


def load_averages(model, state, path):
    """Load the averaged weights of --ema; a state without them: they start from the loaded weights."""
    if getattr(model, "_ema", None) is None:
        return
    if "ema" not in state:
        print(f"--ema: {path} has no averaged weights; the averages start from its weights")
        model._ema.restart()
    else:
        model._ema.load_state_dict(state["ema"])


def load_optimizer(optimizer, state):
    """Load moments and step counts. Hyperparameters (--beta1 ...) and the initial learning rate stay as the flags set.

    The current learning rate of the state is scaled by the ratio of the two initial rates.
    """
    fresh = [{k: v for k, v in group.items() if k != "params"} for group in optimizer.param_groups]
    optimizer.load_state_dict(state)
    for parameter, own in optimizer.state.items():
        for name, value in own.items():  # in the layout of the parameter, which --channels_last may have changed
            if torch.is_tensor(value) and value.shape == parameter.shape and value.stride() != parameter.stride():
                own[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
    for group, flags in zip(optimizer.param_groups, fresh):
        start = flags.get("initial_lr")  # None with ReduceLROnPlateau
        scale = start / group.get("initial_lr", start) if start else 1
        group.update({**flags, "lr": group["lr"] if scale == 1 else group["lr"] * scale})


def load_scheduler(scheduler, state, optimizer, first):
    """Load the scheduler's position; a rate that is a function of the position follows from the flags.

    `first`: the rate of each group at the start of a run. If --lr_policy has changed, the rate is that of the new
    policy at the position: the former rate, which may have fallen to 0, does not count.
    """
    fresh = list(scheduler.base_lrs) if hasattr(scheduler, "base_lrs") else None
    if set(state) == set(scheduler.state_dict()):
        scheduler.load_state_dict(state)
    else:
        scheduler.last_epoch = state["last_epoch"]
        for group, rate in zip(optimizer.param_groups, fresh or first):
            if isinstance(scheduler, torch.optim.lr_scheduler.StepLR):
                rate *= scheduler.gamma ** (scheduler.last_epoch // scheduler.step_size)
            group["lr"] = rate
        print(f"--lr_policy has changed: the learning rate is {optimizer.param_groups[0]['lr']:g} from now on")
    if fresh is not None:
        scheduler.base_lrs = fresh
    if isinstance(scheduler, torch.optim.lr_scheduler.LambdaLR):
        for group, base, factor in zip(optimizer.param_groups, scheduler.base_lrs, scheduler.lr_lambdas):
            group["lr"] = base * factor(scheduler.last_epoch)


# --- files -----------------------------------------------------------------------------------------------------------


class Found(NamedTuple):
    """A state file in a run's folder."""

    tag: str
    path: str
    total_iters: int  # images seen when it was written; -1 if it can't be read


def find(folder: str, tag: str | None = None) -> list[Found]:
    """The state files of a run, newest first; only the file of `tag` if one is given."""
    if tag is None:
        paths = run_folder.states(folder)
    else:
        path = os.path.join(folder, f"{tag}_state.pth")
        paths = [path] if os.path.exists(path) else []
    found = [Found(os.path.basename(path).removesuffix("_state.pth"), path, _position(path)) for path in paths]
    return sorted(found, key=_age, reverse=True)


def _age(found):
    """Unreadable files sort as the newest, so that a caller who looks for a whole file reports them first."""
    return found.total_iters < 0, found.total_iters, found.tag == "latest", os.path.getmtime(found.path)


def _position(path):
    """total_iters, from the state itself, because its manifest may be outdated or lost. mmap: no tensor is read."""
    try:
        position = weights.read_plain(path, mmap=True)["progress"]["total_iters"]
        return position if isinstance(position, int) else -1
    except (InputError, KeyError, TypeError, IndexError, RuntimeError):
        return -1


def newest_whole(folder: str, tag: str | None = None) -> Found | None:
    """The newest undamaged state file of a run, or None; only the file of `tag` if one is given."""
    return next((found for found in find(folder, tag) if not damage(folder, found)), None)


def load_networks(model, path: str) -> None:
    """Load only the networks of a state into a model."""
    state = read_state(path)["model"]["networks"]
    for name, net in model.networks_by_name().items():
        if name not in state:
            raise InputError(f"{path}: made by another kind of model (its networks: {', '.join(state)})")
        weights.fit(net, state[name], path)


def read_state(path: str) -> dict:
    state = weights.read_plain(path)
    try:
        newer = int(state["format"]) > FORMAT
    except (TypeError, KeyError, ValueError, IndexError, OverflowError, RuntimeError):
        raise InputError(f"{path}: not the state of a run") from None
    if newer:
        raise InputError(f"{path}: written by a newer version of this program; update to use it")
    return state


def damage(folder: str, found: Found) -> str | None:
    """A description of the damage of a state file, or None."""
    path = os.path.join(folder, os.path.basename(found.path))
    return None if run_folder.as_listed(path, found.tag) else weights.unreadable(path)
