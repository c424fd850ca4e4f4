"""Out of memory gives one line with sizes and flags to try; other errors are not changed; freed memory is kept."""

import ctypes
import subprocess
import sys
import types

import pytest
import torch

import models
from util.errors import InputError
from util.numerics import memory

CUDA = (
    "CUDA out of memory. Tried to allocate 1.50 GiB. GPU 0 has a total capacity of 139.80 GiB of which 310.00 MiB is "
    "free. Of the allocated memory 130.00 GiB is allocated by PyTorch"
)
WINDOWS = (
    "[enforce fail at alloc_cpu.cpp:114] data. DefaultCPUAllocator: not enough memory: you tried to allocate 64 bytes."
)
MPS = "MPS backend out of memory (MPS allocated: 8.00 GB, max allowed: 9.07 GB). Tried to allocate 256.00 MB on pool."


def options(**changes):
    usual = {
        "device": torch.device("cpu"),
        "isTrain": True,
        "batch_size": 4,
        "accumulate": 1,
        "grad_checkpoint": False,
        "precision": "fp32",
        "preprocess": "resize_and_crop",
        "load_size": 286,
        "crop_size": 256,
    }
    return types.SimpleNamespace(**{**usual, **changes})


def line_for(error, **changes):
    with pytest.raises(InputError) as caught, memory.explaining_out_of_memory(options(**changes)):
        raise error
    return str(caught.value)


def test_a_tensor_too_large_for_the_machine_gives_one_line():
    with pytest.raises(InputError) as caught, memory.explaining_out_of_memory(options()):
        torch.empty(2**52, dtype=torch.uint8)
    message = str(caught.value)
    assert message.startswith("cpu: out of memory (4194304.00 GiB more were needed")
    assert "--batch_size 4, --crop_size 256, --precision fp32" in message
    assert "Try, in this order: --batch_size 2 --accumulate 2" in message
    assert "\n" not in message


def test_building_a_model_is_explained_too(monkeypatch):
    class Huge:
        modify_commandline_options = None

        def __init__(self, opt):
            raise torch.OutOfMemoryError(CUDA)

    monkeypatch.setattr(models, "find_model_using_name", lambda name: Huge)
    with pytest.raises(InputError, match=r"^cpu: out of memory \(1.50 GiB more were needed.*--grad_checkpoint"):
        models.create_model(options(model="huge"))


@pytest.mark.parametrize(("text", "asked"), [(CUDA, 1.5 * 2**30), (WINDOWS, 64), (MPS, 2**28)])
def test_messages_of_every_allocator_are_recognised(text, asked):
    assert memory.asked_for(RuntimeError(text)) == asked
    assert "out of memory" in line_for(torch.OutOfMemoryError(text))


@pytest.mark.parametrize(
    "text", ["cuDNN error: CUDNN_STATUS_ALLOC_FAILED", "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when"]
)
def test_messages_without_a_size_are_recognised(text):
    assert "were needed" not in line_for(RuntimeError(text))


@pytest.mark.parametrize(
    "error", [RuntimeError("shapes (3) and (4) differ"), KeyError("memory"), InputError("--lr: no")]
)
def test_other_errors_are_not_changed(error):
    with pytest.raises(type(error)) as caught, memory.explaining_out_of_memory(options()):
        raise error
    assert caught.value is error


def test_the_advice_lists_flags_in_order_with_values():
    assert memory.next_flags(options()) == [
        "--batch_size 2 --accumulate 2 (the same step in parts)",
        "--grad_checkpoint (slower)",
        "--precision bf16",
        "--crop_size 128",
    ]


@pytest.mark.parametrize(
    ("changes", "advice"),
    [
        ({"batch_size": 1}, ["--grad_checkpoint (slower)", "--precision bf16", "--crop_size 128"]),
        (
            {"batch_size": 3, "accumulate": 2, "grad_checkpoint": True, "precision": "bf16"},
            ["--batch_size 1 --accumulate 4 (the same step in parts)", "--crop_size 128"],
        ),
        ({"isTrain": False, "batch_size": 16}, ["--batch_size 8", "--precision bf16", "--crop_size 128"]),
        ({"isTrain": False, "batch_size": 1, "precision": "fp16", "crop_size": 32}, ["another --device"]),
    ],
)
def test_flags_already_given_are_not_advised(changes, advice):
    found = memory.next_flags(options(**changes))
    assert len(found) == len(advice)
    assert all(one.startswith(other) for one, other in zip(found, advice))


@pytest.mark.parametrize(
    ("changes", "flag"),
    [({"preprocess": "resize"}, "--load_size 140"), ({"image_size": 128}, "--image_size 64"), ({}, "--crop_size 128")],
)
def test_the_advice_names_the_size_flag_of_the_model(changes, flag):
    assert memory.next_flags(options(**changes))[-1] == flag


def test_unknown_numbers_are_omitted():
    text = memory.explain(options(), None, None, None)
    assert text.startswith("cpu: out of memory, with --batch_size 4")
    text = memory.explain(options(), 3 * 2**20, 2**30, 2**33)
    assert "(3 MiB more were needed, 1.00 GiB of 8.00 GiB are free)" in text


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc/self/status is a file of Linux")
def test_the_peak_does_not_count_the_memory_of_the_parent_process(monkeypatch):
    import resource

    of_parent = types.SimpleNamespace(ru_maxrss=2**40)
    monkeypatch.setattr(resource, "getrusage", lambda who: of_parent)
    assert 2**20 < memory.peak_of_main_memory() < 2**40


def test_the_peak_is_printed_if_it_can_be_measured():
    assert memory.peak(torch.device("cpu")).startswith("peak memory on cpu: ")
    assert memory.peak(torch.device("mps")) is None


# Blocks of 64 MiB, taken, filled and given back; page faults are counted.
PROGRAM = """
import resource, sys
sys.path.insert(0, sys.argv[1])
from util.numerics.memory import keep_freed_memory
if sys.argv[2] == "keep" and not keep_freed_memory():
    sys.exit("not here")
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    block = bytearray(b"x") * 2**26
    del block
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(word, root):
    done = subprocess.run([sys.executable, "-c", PROGRAM, root, word], capture_output=True, text=True)
    if "not here" in done.stderr:
        pytest.skip("the C library of this system is not glibc")
    return int(done.stdout)


def test_freed_memory_is_reused(request):
    root = str(request.config.rootpath)
    assert page_faults("keep", root) < 0.2 * page_faults("leave", root)


@pytest.mark.parametrize("error", [OSError, TypeError, AttributeError])
def test_other_c_libraries_are_not_configured(monkeypatch, error):
    def missing(name):
        raise error

    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert memory.keep_freed_memory() is False
