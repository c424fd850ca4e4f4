"""Which device a run uses, from --device and the older --gpu_ids."""

import torch

from util.errors import InputError


def resolve(device, gpu_ids):
    """(torch.device, gpu_ids) from the two flags' texts; gpu_ids is [] on everything but CUDA, else [index].

    None, or auto, takes CUDA if there is one, then Apple's mps, then the CPU.
    """
    older = _from_gpu_ids(gpu_ids)
    wanted = _parse(device) if device not in (None, "auto") else older or _best()
    if older is not None and older.type != wanted.type:
        raise InputError(f"--device {device} contradicts --gpu_ids {gpu_ids}: give one of them")
    if older is not None and wanted.index not in (None, older.index):
        raise InputError(f"--device {device} contradicts --gpu_ids {gpu_ids}: give one of them")
    if wanted.type == "cuda" and wanted.index is None:
        wanted = torch.device("cuda", older.index if older else 0)
    _check(wanted)
    if wanted.type == "cuda":
        torch.cuda.set_device(wanted)
    return wanted, [wanted.index] if wanted.type == "cuda" else []


def _from_gpu_ids(text):
    if text is None or text == "":
        return None
    try:
        ids = [int(word) for word in str(text).split(",") if word.strip()]
    except ValueError:
        raise InputError(f"--gpu_ids {text}: give one number, as in --gpu_ids 0, or -1 for the CPU") from None
    ids = [i for i in ids if i >= 0]
    if len(ids) > 1:
        raise InputError(f"--gpu_ids {text}: a run uses one device; give one number")
    return torch.device("cuda", ids[0]) if ids else torch.device("cpu")


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
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("mps") if torch.backends.mps.is_available() else torch.device("cpu")


def _check(device):
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InputError(f"--device {device}: PyTorch finds no CUDA device here; use --device cpu")
    if device.type == "cuda" and device.index >= torch.cuda.device_count():
        raise InputError(f"--device {device}: there are only {torch.cuda.device_count()} CUDA devices (from 0)")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise InputError("--device mps: not available here; use --device cpu")
