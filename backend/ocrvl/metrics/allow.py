"""Which metrics are published: all of this project's, and of the engine's those that are worth watching."""

from __future__ import annotations

from typing import Final

from ocrvl.metrics.definitions import PREFIX

VLLM_FAMILIES: Final = frozenset(
    {
        "vllm:num_requests_running",
        "vllm:num_requests_waiting",
        "vllm:kv_cache_usage_perc",
        "vllm:num_preemptions",
        "vllm:prompt_tokens",
        "vllm:generation_tokens",
        "vllm:time_to_first_token_seconds",
        "vllm:inter_token_latency_seconds",
        "vllm:request_time_per_output_token_seconds",
        "vllm:e2e_request_latency_seconds",
        "vllm:request_queue_time_seconds",
        "vllm:request_success",
    }
)
"""Names as vLLM registers them, without the `_total` of counters; 0.24, 0.28 and 0.32 have them all.

A list and not a prefix: each series costs calls, and names that are not of Prometheus's old alphabet, which newer
clients allow, end a Triton 2.51 server.
"""


def is_published(family: str) -> bool:
    """Whether the metric family of this name is carried over to Triton.

    >>> is_published("ocrvl_images"), is_published("vllm:kv_cache_usage_perc"), is_published("python_gc_collections")
    (True, True, False)
    """
    return family.startswith(PREFIX) or family in VLLM_FAMILIES
