"""An engine on a CPU whose texts come in bursts: vLLM's Model Runner V2, within the process.

`interpret_triton` comes before the first import of vLLM, this module's included.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vllm import LLM
from vllm.platforms.cpu import CpuPlatform
from vllm.v1.worker.cpu_worker import CPUWorker

from ocrvl.checkpoint import resolve_checkpoint
from ocrvl.vllm_plugin.bursts.worker import BurstWorker
from ocrvl.vllm_plugin.scheduler import SCHEDULER


class BurstCPUWorker(BurstWorker, CPUWorker):  # type: ignore[misc, unused-ignore]
    """VLLM's worker for CPUs with bursts."""


def start_engine(tokens: int, **arguments: Any) -> LLM:
    """An engine with the embedded checkpoint, whose steps are given out ahead as they are on a GPU."""
    own = CpuPlatform.check_and_update_config

    def check_and_update_config(_: Any, config: Any) -> None:
        own(config)
        config.scheduler_config.async_scheduling = True

    CpuPlatform.check_and_update_config = classmethod(check_and_update_config)
    return LLM(
        model=str(resolve_checkpoint("nano", Path())),
        dtype="float32",
        enforce_eager=True,
        max_model_len=256,
        max_num_seqs=6,
        mm_processor_cache_gb=0,
        enable_prefix_caching=False,
        disable_log_stats=True,
        additional_config={"burst": {"tokens": tokens}},
        scheduler_cls=SCHEDULER,
        worker_cls=f"{__name__}.{BurstCPUWorker.__name__}",
        **arguments,
    )
