"""Checks at the start of a run in several processes: equal options, suitable norms, equal weights."""

import torch
from torch.nn.modules.batchnorm import SyncBatchNorm, _BatchNorm

from util.errors import InputError
from util.namespace import framework
from util.processes import distributed


def check_same_options(opt, may_differ):
    """Raise InputError if the options of a process differ from those of rank 0 in other flags than `may_differ`.

    Collective.
    """
    own = {name: str(value) for name, value in vars(opt).items() if name not in may_differ}
    first = distributed.value_of_rank0(own)
    differ = sorted(name for name in first.keys() | own.keys() if first.get(name) != own.get(name))
    if differ:
        raise InputError(
            f"--{differ[0]} is {own.get(differ[0])} here and {first.get(differ[0])} in the first process: give all "
            "processes the same flags, and a --checkpoints_dir that all machines can reach"
        )


def check_norms(model):
    """Refuse synchronised batch norm where PyTorch lacks it; print over which images plain batch norm averages."""
    modules = [module for net in model.networks_by_name().values() for module in net.modules()]
    accumulate = getattr(framework(model.opt), "accumulate", 1)
    if any(isinstance(module, SyncBatchNorm) for module in modules):
        if accumulate > 1 and distributed.world_size() > 1:
            raise InputError(
                f"--norm syncbatch, --accumulate {accumulate}: in an epoch's short last step the processes may have "
                "different numbers of parts, and would wait for each other for ever; give only one of the two flags"
            )
        if distributed.launched() and model.device.type != "cuda":
            raise InputError(
                f"--norm syncbatch: PyTorch supports it on GPUs only, and this run is on {model.device}; use --norm "
                "instance, or --norm batch (each process then uses the statistics of its own images)"
            )
    elif distributed.world_size() > 1 and any(isinstance(module, _BatchNorm) for module in modules):
        print(
            f"batch norm: each of the {distributed.world_size()} processes uses the statistics of its own "
            f"{model.opt.batch_size} images, and those of the first process are saved for tests; --norm syncbatch uses "
            "the images of all processes"
        )
    if accumulate > 1 and any(isinstance(module, _BatchNorm) for module in modules):
        print(
            f"batch norm: its statistics are those of the {model.opt.batch_size} images of each part of --accumulate "
            f"{accumulate}"
        )


def check_parts(model):
    """Raise InputError if --accumulate is given and the model can't take the images of a step in parts."""
    number = getattr(framework(model.opt), "accumulate", 1)
    if number > 1 and not model.in_parts:
        raise InputError(
            f"--accumulate {number}: --model {model.opt.model} can't divide a batch (its loss may compare the images "
            "of a batch, or it does not update through BaseModel.step()); use a larger --batch_size instead"
        )


def print_batch_size(model):
    """Print the number of images in a step and the learning rate, if a step is more than one batch."""
    opt, processes = framework(model.opt), distributed.world_size()
    if distributed.step_size(opt) == opt.batch_size:
        return
    parts = f" x {opt.accumulate} parts" if opt.accumulate > 1 else ""
    rate = model.optimizers[0].param_groups[0]["lr"]
    print(
        f"{processes} process{'es' * (processes > 1)} x {opt.batch_size} images{parts}: global batch "
        f"{distributed.step_size(opt)}, learning rate {rate:g} (--scale_lr {opt.scale_lr})"
    )


def share_weights(model):
    """Overwrite the parameters and buffers of all processes with those of rank 0. Collective."""
    with torch.no_grad():
        nets = model.networks_by_name().values()
        distributed.broadcast_tensors([tensor for net in nets for tensor in (*net.parameters(), *net.buffers())])
