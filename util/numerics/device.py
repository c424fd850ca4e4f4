"""The device of a process, from --device, the older --gpu_ids, and its local rank."""

import torch

from util.errors import InputError
from util.processes import distributed


def resolve(device: str | None, gpu_ids: str | None) -> tuple[torch.device, list[int]]:
    """(torch.device, gpu_ids) from the values of the two flags; gpu_ids is [index] on CUDA, and otherwise [].

    None or auto takes CUDA if it is available, then Apple's mps, then the CPU. Of several --gpu_ids each process takes
    the GPU at its local rank. A process without a launcher gets all of them, so that it can launch the processes.
    """
    ids = _from_gpu_ids(gpu_ids)
    if device in (None, "auto"):
        wanted = _best() if ids is None else torch.device("cuda" if ids else "cpu")
    else:
        wanted = _parse(device)
    if ids is not None and not _agree(wanted, ids):
        raise InputError(f"--device {device} contradicts --gpu_ids {gpu_ids}: give one of them")
    if wanted.type != "cuda":
        _check(wanted)
        if wanted.type == "mps" and distributed.launched_several():
            raise InputError("--device mps: PyTorch supports one process only on it; use one, or --device cpu")
        return wanted, []
    ids = ids or ([wanted.index] if wanted.index is not None else _default_ids())
    for index in ids:
        _check(torch.device("cuda", index), f"--gpu_ids {gpu_ids}" if device in (None, "auto") and gpu_ids else None)
    if len(ids) > 1 and not distributed.launched():
        return torch.device("cuda", ids[0]), ids
    index = _own(ids)
    torch.cuda.set_device(index)
    return torch.device("cuda", index), [index]


def _own(ids):
    """The index of this process's GPU: the entry of its local rank, or the first without a launcher."""
    rank = distributed.local_rank()
    if rank is None:
        return ids[0]
    if rank >= len(ids):
        raise InputError(
            f"local rank {rank} has no GPU: {len(ids)} GPU{'s' * (len(ids) > 1)} can be used on this machine: give "
            f"torchrun --nproc_per_node {len(ids)}, or --device cpu"
        )
    return ids[rank]


def _default_ids():
    if distributed.launched():
        return list(range(torch.cuda.device_count()))
    return [torch.cuda.current_device() if torch.cuda.is_available() else 0]


def _agree(device, ids):
    return device.type == ("cuda" if ids else "cpu") and (device.index is None or ids == [device.index])


def _from_gpu_ids(text):
    """None if the flag was not given, [] for the CPU, otherwise the indices of the GPUs."""
    if text is None or text == "":
        return None
    try:
        ids = [int(word) for word in str(text).split(",") if word.strip()]
    except ValueError:
        raise InputError(f"--gpu_ids {text}: give numbers, as in --gpu_ids 0,1, or -1 for the CPU") from None
    ids = [i for i in ids if i >= 0]
    if len(set(ids)) < len(ids):
        raise InputError(f"--gpu_ids {text}: name each GPU only once")
    return ids


def _parse(text):
    try:
        device = torch.device(text)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda", "mps"):
        raise InputError(f"--device {text}: choose auto, cpu, cuda, cuda:N or mps")
    return torch.device("cpu") if device.type == "cpu" else device


def _best():
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps") if torch.backends.mps.is_available() else torch.device("cpu")


def _check(device, flag=None):
    """InputError unless the device exists; `flag` is the flag that was given for it (None: --device)."""
    flag = flag or f"--device {device}"
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InputError(f"{flag}: PyTorch finds no CUDA device on this machine; use --device cpu")
    if device.type == "cuda" and device.index >= torch.cuda.device_count():
        last = torch.cuda.device_count() - 1
        raise InputError(f"{flag}: the CUDA devices of this machine are cuda:0 to cuda:{last}")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise InputError("--device mps: not available on this machine; use --device cpu")
