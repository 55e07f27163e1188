"""An extension of vLLM's workers: it returns freed memory to the system.

VLLM mixes the class that `worker_extension_cls` names into its worker's, and `collective_rpc` calls its methods.
"""

from __future__ import annotations

import ctypes
from typing import Final

EXTENSION: Final = "ocrvl.vllm_plugin.worker.MemoryExtension"
"""The class by the name that the engine argument `worker_extension_cls` takes."""

WORKER: Final = "ocrvl.vllm_plugin.gpu_worker.EncoderWorker"
"""The plugin's worker for GPUs, by the name that the engine argument `worker_cls` takes."""

TRIM_MEMORY: Final = "trim_memory"
"""Its method, by the name that `collective_rpc` takes."""


class MemoryExtension:
    """Mixed into a worker of vLLM's; has no state of its own."""

    def trim_memory(self) -> bool:
        """Return memory that was freed to the system; whether there was any.

        The C library keeps freed memory for its process, and the blocks of an image's activations on a CPU, each of
        another size, leave gaps in it that the next ones do not fit: the process grows though no block is in use. What
        `malloc_trim(3)` of glibc returns are the whole pages in those gaps. Other C libraries have no such function,
        and return none.
        """
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        return bool(trim(0)) if trim else False
