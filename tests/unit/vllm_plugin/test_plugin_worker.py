"""`ocrvl.vllm_plugin.worker`: what an engine's process can be asked for."""

from __future__ import annotations

import ctypes
import importlib
import subprocess
import sys
from typing import Any

import psutil
import pytest
from vllm.v1.worker.worker_base import WorkerBase

from ocrvl.vllm_plugin.worker import EXTENSION, TRIM_MEMORY, MemoryExtension

_BLOCKS, _BYTES = 4000, 64 * 1024
"""Blocks of which none is so large that the C library would return it by itself: 250 MiB in all."""


def leave_gaps() -> tuple[int, int, int]:
    """Bytes that this process has when full of blocks, when all but the last are freed, when asked to return them."""
    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    blocks: list[Any] = [libc.malloc(_BYTES) for _ in range(_BLOCKS)]
    for block in blocks:
        ctypes.memset(block, 1, _BYTES)
    full = psutil.Process().memory_info().rss
    for block in blocks[:-1]:
        libc.free(block)
    freed = psutil.Process().memory_info().rss
    assert MemoryExtension().trim_memory()
    return full, freed, psutil.Process().memory_info().rss


def test_memory_that_was_freed_is_returned_to_the_system() -> None:
    # in a process of its own, whose heap nothing else uses
    code = "from tests.unit.vllm_plugin.test_plugin_worker import leave_gaps; print(*leave_gaps())"
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    full, freed, returned = map(int, printed.split())
    blocks = _BLOCKS * _BYTES
    # else there would be nothing to return
    assert freed > full - blocks // 10
    assert returned < full - blocks * 9 // 10


def test_a_c_library_that_can_not_return_memory_trims_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: object())
    assert not MemoryExtension().trim_memory()


def test_vllm_finds_the_extension_and_its_method_and_none_of_its_own_is_named_like_it() -> None:
    module, _, name = EXTENSION.rpartition(".")
    assert getattr(importlib.import_module(module), name) is MemoryExtension
    assert callable(getattr(MemoryExtension, TRIM_MEMORY))
    assert not hasattr(WorkerBase, TRIM_MEMORY)
