"""A worker for vLLM on a GPU whose memory for keys and values leaves what the vision encoder takes.

The engine argument `worker_cls` takes its name. VLLM 0.24's newer model runner measures the language model alone; and
no vLLM knows the graphs of `ocrvl.vllm_plugin.encoder_graphs`, which are captured here,
before keys and values are laid out.
"""

from __future__ import annotations

from typing import Any

import torch
from vllm.v1.worker.gpu_worker import Worker

from ocrvl.vllm_plugin.bursts.worker import BurstWorker


class EncoderWorker(BurstWorker, Worker):  # type: ignore[misc, unused-ignore]
    """VLLM's own, for models that have `profile_encoder` and `capture_encoder`."""

    def determine_available_memory(self) -> int:
        """Bytes for keys and values: vLLM's answer, measured with the encoder, less the encoder's graphs.

        What `kv_cache_memory_bytes` says is handed on as it is.
        """
        model: Any = self.model_runner.get_model()
        own = self.model_runner.profile_run

        def profile_run(*args: Any, **kwargs: Any) -> None:
            own(*args, **kwargs)
            model.profile_encoder()

        self.model_runner.profile_run = profile_run
        try:
            available: int = super().determine_available_memory()
        finally:
            self.model_runner.profile_run = own
        taken = _measure(model.capture_encoder)
        return available if self.cache_config.kv_cache_memory_bytes else available - taken


def _measure(capture: Any) -> int:
    """Bytes of the device that are taken after `capture` and were free before."""
    torch.cuda.empty_cache()
    before, _ = torch.cuda.mem_get_info()
    capture()
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    after, _ = torch.cuda.mem_get_info()
    return int(max(0, before - after))
