"""What many processes mean for a run: which models they suit, what is said at the start, who has whose weights."""

import torch
from torch.nn.modules.batchnorm import SyncBatchNorm, _BatchNorm

from util.errors import InputError
from util.processes import distributed


def check_same_options(opt, may_differ):
    """Refuse processes whose options differ from rank 0's, except the flags in `may_differ`. Collective."""
    own = {name: str(value) for name, value in vars(opt).items() if name not in may_differ}
    first = distributed.value_of_rank0(own)
    differ = sorted(name for name in first.keys() | own.keys() if first.get(name) != own.get(name))
    if differ:
        raise InputError(
            f"--{differ[0]} is {own.get(differ[0])} here and {first.get(differ[0])} in the first process: give all the "
            "same flags, and a --checkpoints_dir that all machines see"
        )


def check_norms(model):
    """Refuse synchronised batch norm where PyTorch has none; say aloud that plain batch norm stays with its process."""
    modules = [module for net in model.networks_by_name().values() for module in net.modules()]
    accumulate = getattr(model.opt, "accumulate", 1)
    if any(isinstance(module, SyncBatchNorm) for module in modules):
        if accumulate > 1 and distributed.world_size() > 1:
            raise InputError(
                f"--norm syncbatch, --accumulate {accumulate}: in an epoch's short last step the processes may have "
                "different numbers of parts, and would wait for each other for ever; give one of them"
            )
        if distributed.launched() and model.device.type != "cuda":
            raise InputError(
                f"--norm syncbatch: PyTorch has it for GPUs only, and this run is on {model.device}; use --norm "
                "instance, or batch (whose statistics stay within a process)"
            )
    elif distributed.world_size() > 1 and any(isinstance(module, _BatchNorm) for module in modules):
        print(
            f"batch norm: each of the {distributed.world_size()} processes uses the statistics of its own "
            f"{model.opt.batch_size} images, and the first one's are saved for tests; --norm syncbatch joins them"
        )
    if accumulate > 1 and any(isinstance(module, _BatchNorm) for module in modules):
        print(f"batch norm: it sees the {model.opt.batch_size} images of a part of --accumulate {accumulate}")


def check_parts(model):
    """Refuse --accumulate where a step's images can't be taken in parts."""
    number = getattr(model.opt, "accumulate", 1)
    if number > 1 and not model.in_parts:
        raise InputError(
            f"--accumulate {number}: --model {model.opt.model} takes its batch as a whole (images may be compared with "
            "each other, or it makes its steps by itself); leave it out, and give a larger --batch_size"
        )


def print_batch_size(model):
    """What a step of this run takes, and at which learning rate."""
    opt, processes = model.opt, distributed.world_size()
    if distributed.step_size(opt) == opt.batch_size:
        return
    parts = f" x {opt.accumulate} parts" if opt.accumulate > 1 else ""
    rate = model.optimizers[0].param_groups[0]["lr"]
    print(
        f"{processes} process{'es' * (processes > 1)} x {opt.batch_size} images{parts}: global batch "
        f"{distributed.step_size(opt)}, learning rate {rate:g} (--scale_lr {opt.scale_lr})"
    )


def share_weights(model):
    """The first process's parameters and buffers for all. Collective."""
    with torch.no_grad():
        nets = model.networks_by_name().values()
        distributed.broadcast_tensors([tensor for net in nets for tensor in (*net.parameters(), *net.buffers())])
