"""Keeping freed memory: asked for where glibc can do it, and harmless elsewhere."""

import ctypes
import subprocess
import sys

import pytest

from util.numerics import allocator

# Blocks of 64 MiB, taken, filled and given back; page faults are counted.
PROGRAM = """
import resource, sys
sys.path.insert(0, sys.argv[1])
from util.numerics.allocator import keep_freed_memory
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


def test_freed_memory_is_taken_again(request):
    root = str(request.config.rootpath)
    assert page_faults("keep", root) < 0.2 * page_faults("leave", root)


@pytest.mark.parametrize("error", [OSError, TypeError, AttributeError])
def test_another_c_library_is_left_alone(monkeypatch, error):
    def missing(name):
        raise error

    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert allocator.keep_freed_memory() is False
