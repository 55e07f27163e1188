"""`ocrvl.vllm_plugin.worker`: what an engine's process can be asked for."""

from __future__ import annotations

import ctypes
import importlib
import subprocess
import sys

import pytest
from vllm.v1.worker.worker_base import WorkerBase

from ocrvl.vllm_plugin.worker import EXTENSION, TRIM_MEMORY, MemoryExtension
from tests.support.heap import BLOCK_BYTES, BLOCKS


def test_memory_that_was_freed_is_returned_to_the_system() -> None:
    # in a process of its own, whose heap nothing else uses
    command = [sys.executable, "-m", "tests.support.heap"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    full, freed, returned = map(int, printed.split())
    blocks = BLOCKS * BLOCK_BYTES
    # else there would be nothing to return
    assert freed > full - blocks // 10
    assert returned < full - blocks * 9 // 10


def test_a_c_library_that_cannot_return_memory_trims_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: object())
    assert not MemoryExtension().trim_memory()


def test_vllm_finds_the_extension_and_its_method_and_none_of_its_own_is_named_like_it() -> None:
    module, _, name = EXTENSION.rpartition(".")
    assert getattr(importlib.import_module(module), name) is MemoryExtension
    assert callable(getattr(MemoryExtension, TRIM_MEMORY))
    assert not hasattr(WorkerBase, TRIM_MEMORY)
