"""Memory: keep freed blocks, report the peak of a run, and explain an out-of-memory error.

The explanation is one line with the size of the failed allocation and the flags to try next, with values.
"""

import contextlib
import ctypes
import re
import sys
from collections.abc import Iterator

import torch

from util.errors import InputError
from util.flags import Sides, as_size, sides

# Messages of the allocators of CUDA and mps, of the CPU on Linux and on Windows, and of CUDA's libraries.
SIGNS = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUBLAS_STATUS_ALLOC_FAILED",
)
SIZE = re.compile(r"tried to allocate ([\d.]+) ?(\w+)", re.IGNORECASE)
UNITS = {"bytes": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "KB": 2**10, "MB": 2**20, "GB": 2**30}

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # from glibc's malloc.h
NEVER = 2**31 - 1


def keep_freed_memory() -> bool:
    """Set glibc to keep freed memory; returns whether it worked (other C libraries lack the setting).

    By default glibc returns large blocks to the system, and a new block is filled with zeros page by page. Every
    training step allocates and frees the same blocks: this took 30 % of a StarGAN step, and 14 % of a pix2pix step.
    The peak of memory stays the same, but the process holds this peak until it ends.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, TypeError, AttributeError):
        return False
    return all(mallopt(threshold, NEVER) == 1 for threshold in (M_MMAP_THRESHOLD, M_TRIM_THRESHOLD))


@contextlib.contextmanager
def explaining_out_of_memory(opt) -> Iterator[None]:
    """Turn an out-of-memory error of a training or a test into an InputError; other errors pass unchanged."""
    try:
        yield
    except RuntimeError as error:  # torch.OutOfMemoryError is one
        if not ran_out(error):
            raise
        message = explain(opt, asked_for(error), *free_and_total(opt.device))
        raise InputError(message) from None


def ran_out(error: Exception) -> bool:
    """Whether this is an out-of-memory error."""
    return any(sign in str(error) for sign in SIGNS)


def asked_for(error: Exception) -> int | None:
    """The size in bytes of the failed allocation, or None if the message doesn't state it."""
    found = SIZE.search(str(error))
    return None if found is None or found[2] not in UNITS else round(float(found[1]) * UNITS[found[2]])


def free_and_total(device: torch.device) -> tuple[int, int] | tuple[None, None]:
    """Free and total bytes of a device, None if unknown; on a CPU, "free" is the memory that Linux calls available."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)
    if device.type == "cpu":
        with contextlib.suppress(OSError, KeyError), open("/proc/meminfo", encoding="ascii") as file:
            kib = dict(re.findall(r"(\w+): +(\d+) kB", file.read()))
            return int(kib["MemAvailable"]) * 1024, int(kib["MemTotal"]) * 1024
    return None, None


def explain(opt, asked: int | None, free: int | None, total: int | None) -> str:
    """The whole message; `asked`, `free` and `total` are in bytes, None if unknown."""
    parts = [f"{gib(asked)} more were needed"] if asked is not None else []
    parts += [f"{gib(free)} of {gib(total)} are free"] if free is not None and total is not None else []
    size, value = size_flag(opt)
    settings = f"--batch_size {opt.batch_size}, --{size} {value}, --precision {opt.precision}"
    what = f" ({', '.join(parts)})" if parts else ""
    return f"{opt.device}: out of memory{what}, with {settings}. Try, in this order: {'; '.join(next_flags(opt))}"


def next_flags(opt) -> list[str]:
    """Flags that reduce memory and are not in use yet, in increasing order of their effect on the result."""
    advice, (size, value) = [], size_flag(opt)
    if opt.batch_size > 1:
        parts = f" --accumulate {2 * getattr(opt, 'accumulate', 1)} (the same step in parts)" if opt.isTrain else ""
        advice.append(f"--batch_size {opt.batch_size // 2}{parts}")
    if opt.isTrain and not getattr(opt, "grad_checkpoint", True):
        advice.append("--grad_checkpoint (slower)")
    if opt.precision in ("fp32", "tf32"):
        advice.append("--precision bf16")
    smaller = [side // 2 // 4 * 4 for side in sides(value)]  # networks with two halvings take multiples of 4
    if min(smaller) >= 32:
        advice.append(f"--{size} {as_size(*smaller)}")
    return advice or ["another --device, or smaller networks (--ngf, --ndf)"]


def size_flag(opt) -> tuple[str, int | Sides]:
    """(name, value) of the flag that sets the size of the networks' input images."""
    if getattr(opt, "image_size", None):
        return "image_size", opt.image_size
    name = "crop_size" if "crop" in opt.preprocess else "load_size"
    return name, getattr(opt, name)


def used() -> int | None:
    """MiB of the tensors on the CUDA device if one is in use, otherwise the peak of this process's main memory.

    None if the system does not provide it.
    """
    if torch.cuda.is_initialized():
        return torch.cuda.memory_allocated() // 2**20
    held = peak_of_main_memory()
    return None if held is None else held // 2**20


def peak(device: torch.device) -> str | None:
    """A line with the peak memory of this process on the device; None if it is unknown."""
    held = torch.cuda.max_memory_reserved(device) if device.type == "cuda" else None
    held = peak_of_main_memory() if device.type == "cpu" else held
    if held is None:
        return None
    total = free_and_total(device)[1]
    return f"peak memory on {device}: {gib(held)}" + (f" of {gib(total)}" if total else "")


def peak_of_main_memory() -> int | None:
    """The largest main memory of this process so far in bytes; None on Windows."""
    if sys.platform == "win32":
        return None
    # On Linux getrusage() also counts the memory of the program that started this process.
    with contextlib.suppress(OSError, ValueError), open("/proc/self/status", encoding="ascii") as file:
        if found := re.search(r"VmHWM:\s+(\d+) kB", file.read()):
            return int(found[1]) * 1024
    import resource  # Windows lacks this module

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def gib(count: float) -> str:
    """Bytes in MiB or GiB: 310 MiB, 1.25 GiB."""
    return f"{count / 2**20:.0f} MiB" if count < 2**30 else f"{count / 2**30:.2f} GiB"
