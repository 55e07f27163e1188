"""A heap with gaps, for a process of its own: `python -m tests.support.heap`."""

from __future__ import annotations

import ctypes
import sys
from typing import Any, Final

import psutil

from ocrvl.vllm_plugin.worker import MemoryExtension

BLOCKS: Final = 4000
BLOCK_BYTES: Final = 64 * 1024
"""None is so large that the C library would return it by itself: 250 MiB in all."""


def leave_gaps() -> tuple[int, int, int]:
    """Bytes of this process when it is full of blocks, when all but the last are freed, and when it has trimmed."""
    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    blocks: list[Any] = [libc.malloc(BLOCK_BYTES) for _ in range(BLOCKS)]
    for block in blocks:
        ctypes.memset(block, 1, BLOCK_BYTES)
    full = psutil.Process().memory_info().rss
    for block in blocks[:-1]:
        libc.free(block)
    freed = psutil.Process().memory_info().rss
    assert MemoryExtension().trim_memory()
    return full, freed, psutil.Process().memory_info().rss


if __name__ == "__main__":
    sys.stdout.write(" ".join(map(str, leave_gaps())))
