"""What an engine is started with: its environment, and vLLM's arguments where `model.json` leaves them open."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Any, Final

from ocrvl import vllm_plugin as plugin
from ocrvl.engine_settings import EngineSettings
from ocrvl.models.engine.vllm_engine.adapters import adapter_arguments
from ocrvl.vllm_plugin.scheduler import SCHEDULER
from ocrvl.vllm_plugin.settings import find_fp8_problem, wants_fp8
from ocrvl.vllm_plugin.worker import WORKER

ENVIRONMENT = {
    # GiB of KV cache on a CPU: vLLM's default there is half the memory
    "VLLM_CPU_KVCACHE_SPACE": "1",
    # shapes of matrices for which a CPU's kernels are kept, of those of images hardly one comes again: with oneDNN's
    # own 1,024 an engine grows by 250 MB in its first 2,000 requests, and is no faster
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "64",
    # the checkpoint is a local folder by now; without this a missing network costs minutes of retries
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    # the model's process has threads and Triton's shared memory, which a forked child would inherit
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
    # ours alone: PaddleX registers one for servers of its own, which every process of vLLM would import and fail with
    "VLLM_PLUGINS": plugin.NAME,
}
"""Set before vLLM is imported, where the operator has not."""

THREADS_BESIDE_A_GPU: Final = "1"
"""Of torch on the host, where the operator has not said. With a thread for each core, what a step computes there in
microseconds wakes them all; vLLM sets this for the ranks of an engine on several GPUs, and not for one alone.
"""


def check_engine_args(settings: EngineSettings) -> None:
    """Raises `ValueError` naming each key of `model.json` that this vLLM's `AsyncEngineArgs` does not have."""
    from vllm.engine.arg_utils import AsyncEngineArgs

    known = {field.name for field in dataclasses.fields(AsyncEngineArgs)}
    if unknown := sorted(set(settings.engine_args) - known):
        raise ValueError(f"{settings.source}: unknown engine arguments: {', '.join(unknown)}")


def run_headless_worker(settings: EngineSettings, node_rank: int) -> None:
    """Be the ranks of an engine on one more machine, until the engine ends; its first machine is number 0.

    The settings are those of the first machine, with `nnodes`, `master_addr` and `master_port`. This is what
    `vllm serve --headless` does, without a second place for the arguments.
    """
    prepare(settings)
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.v1.executor.multiproc_executor import MultiprocExecutor

    args = AsyncEngineArgs(**{**adapter_arguments(settings), **settings.engine_args, "node_rank": node_rank})
    executor = MultiprocExecutor(args.create_engine_config(headless=True), monitor_workers=False)
    executor.start_worker_monitor(inline=True)


def prepare(settings: EngineSettings) -> None:
    """Set the environment in which vLLM is imported, and check its arguments."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    check_engine_args(settings)


def default_executor(engine_args: Mapping[str, Any]) -> dict[str, Any]:
    """The executor for an engine that has one rank on a CPU: none of its own process.

    VLLM gives that rank a process, for the sake of binding its threads to cores. Both processes then wait for each
    other in busy loops: on two cores nothing else comes to run, a scrape of the metrics took up to 20 s, and a seventh
    of the throughput and 800 MB are lost. Where cores are given, that binding is needed.
    """
    from vllm.platforms import current_platform

    ranks = engine_args.get("tensor_parallel_size", 1)
    if not current_platform.is_cpu() or ranks > 1 or "VLLM_CPU_OMP_THREADS_BIND" in os.environ:
        return {}
    # by its path: the name "uni" is overruled on a CPU
    return {"distributed_executor_backend": "vllm.v1.executor.uniproc_executor.UniProcExecutor"}


def default_scheduler() -> str | None:
    """The scheduler for an engine whose `model.json` names none, which has loaded vLLM's plugins; None for vLLM's own.

    A CPU has nothing to launch that images could share, and vLLM's own class reads them one by one in any case.
    """
    from vllm.platforms import current_platform

    return SCHEDULER if plugin.is_registered() and not current_platform.is_cpu() else None


def default_worker(worker_cls: str) -> str:
    """The worker for an engine whose plugins are loaded: the plugin's on NVIDIA's GPUs, where none is named."""
    from vllm.platforms import current_platform

    if worker_cls != "auto" or not plugin.is_registered() or not current_platform.is_cuda():
        return worker_cls
    return WORKER


def check_encoder_precision(settings: EngineSettings) -> None:
    """Raises `ValueError` where the encoder is to compute in FP8 and cannot; vLLM's plugins are loaded."""
    args = settings.engine_args
    if not wants_fp8(args.get("additional_config")):
        return
    if plugin.is_registered():
        problem = find_fp8_problem(
            dtype=args.get("dtype", "auto"),
            tensor_parallel_size=args.get("tensor_parallel_size", 1),
            quantization=args.get("quantization"),
        )
    else:
        problem = "expected the packed encoder, which packed_encoder has switched off"
    if problem:
        raise ValueError(f"{settings.source}: additional_config.encoder_precision: fp8: {problem}")
