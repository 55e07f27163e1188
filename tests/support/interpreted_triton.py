"""Triton's kernels on a CPU, by its interpreter, for vLLM's Model Runner V2."""

from __future__ import annotations

import os
from types import SimpleNamespace


def interpret_triton() -> None:
    """Have vLLM, which is not imported yet, run its newer model runner, within one process."""
    os.environ |= {
        "TRITON_INTERPRET": "1",
        "VLLM_USE_V2_MODEL_RUNNER": "1",
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "HF_HUB_OFFLINE": "1",
    }
    from triton.backends import backends  # type: ignore[import-untyped]

    # vLLM looks for a backend for CPUs, which no wheel has; what is interpreted needs none
    backends["cpu"] = SimpleNamespace(driver=SimpleNamespace(is_active=lambda: True))
