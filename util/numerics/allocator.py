"""Memory of the CPU: let the C library keep what tensors give back, for the next step to take.

By itself glibc returns large blocks to the system, which hands them out again page by page, filled with zeros. A
training step takes and frees the same blocks every time: that was 30 % of a StarGAN step, 14 % of a pix2pix step.
"""

import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # from glibc's malloc.h
NEVER = 2**31 - 1


def keep_freed_memory():
    """Whether the C library has been told so; only glibc can be. The peak stays the same, and is kept afterwards."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, TypeError, AttributeError):
        return False
    return all(mallopt(threshold, NEVER) == 1 for threshold in (M_MMAP_THRESHOLD, M_TRIM_THRESHOLD))
