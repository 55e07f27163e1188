"""What the plugin reads of the engine argument `additional_config` about bursts, and where there can be any."""

from __future__ import annotations

import inspect
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field

_RUNNER: Final = {
    "execute_model": {"scheduler_output"},
    "initialize_kv_cache": set(),
    "capture_model": set(),
    "prepare_attn": {"input_batch"},
    "sample": {"hidden_states", "input_batch", "grammar_output"},
    "postprocess_sampled": {"idx_mapping", "sampled_tokens", "num_sampled", "num_rejected", "query_start_loc"},
}
"""Methods of the model runner and arguments of theirs that bursts use."""


class BurstSettings(BaseModel):
    """Under `burst`: tokens that a request gets for one turn of the host, and whether an inner step is one graph.

    Without graphs of its own an inner step takes vLLM's graph of the decoder and launches the rest.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    tokens: Annotated[int, Field(ge=1, le=32)] = 1
    graphs: bool = True

    @classmethod
    def of(cls, vllm_config: Any) -> BurstSettings:
        """Those of an engine. Raises `ValidationError`."""
        return cls.model_validate((vllm_config.additional_config or {}).get("burst", {}))


def problems_of(vllm_config: Any) -> list[str]:
    """What of an engine's arguments, or of this vLLM, stands against bursts; scheduler and worker come to the same."""
    parallel = vllm_config.parallel_config
    problems = {
        "the older model runner": not getattr(vllm_config, "use_v2_model_runner", False),
        "several ranks": parallel.world_size > 1 or parallel.data_parallel_size > 1,
        "LoRA": vllm_config.lora_config is not None,
        "speculative decoding": vllm_config.speculative_config is not None,
        "a KV connector": vllm_config.kv_transfer_config is not None,
        "an encoder connector": getattr(vllm_config, "ec_transfer_config", None) is not None,
        "logits processors": bool(vllm_config.model_config.logits_processors),
        f"the worker {parallel.worker_cls}": not _is_bursting(parallel.worker_cls),
    }
    return [problem for problem, stands in problems.items() if stands] or _unknown_of_vllm()


def _is_bursting(worker_cls: Any) -> bool:
    from vllm.utils.import_utils import resolve_obj_by_qualname

    return getattr(resolve_obj_by_qualname(worker_cls), "runs_bursts", False)


def _unknown_of_vllm() -> list[str]:
    """What this vLLM lacks of what bursts build on."""
    from vllm.v1.core.sched.scheduler import Scheduler
    from vllm.v1.worker.gpu.block_table import BlockTables
    from vllm.v1.worker.gpu.model_runner import GPUModelRunner

    needed = {
        **{getattr(GPUModelRunner, method, None): names for method, names in _RUNNER.items()},
        getattr(BlockTables, "compute_slot_mappings", None): {"idx_mapping", "query_start_loc", "positions"},
        getattr(Scheduler, "make_spec_decoding_stats", None): set(),
        Scheduler.schedule: {"throttle_prefills"},
    }
    missing = [call for call, names in needed.items() if call is None or not names <= _parameters(call)]
    return ["a vLLM that is not known"] if missing else []


def _parameters(call: Any) -> set[str]:
    return set(inspect.signature(call).parameters)
