"""The panels of the dashboard, in the order in which one looks: health, requests, saturation, latency, content.

In a query, `@` stands for the labels that choose servers, and `$__rate_interval` is Grafana's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

RATE: Final = "[$__rate_interval]"


@dataclass(frozen=True)
class Panel:
    """A graph: queries by what their lines are called, and the runbook or page that says what to do about it.

    `unit` is Grafana's name of one. `maximum` is where the axis ends, None for where the values do.
    """

    title: str
    unit: str
    queries: Mapping[str, str]
    meaning: str
    maximum: float | None = None


def _share(part: str, whole: str) -> str:
    return f"sum(rate({part}{RATE})) / sum(rate({whole}{RATE}))"


def _quantiles(family: str, labels: str = "@") -> dict[str, str]:
    buckets = f"sum by (le) (rate({family}_bucket{{{labels}}}{RATE}))"
    return {f"p{100 * share:g}": f"histogram_quantile({share}, {buckets})" for share in (0.5, 0.95, 0.99)}


def _rate(family: str, by: str, labels: str = "@") -> dict[str, str]:
    return {f"{{{{{by}}}}}": f"sum by ({by}) (rate({family}{{{labels}}}{RATE}))"}


def _mean_seconds(family: str, by: str) -> dict[str, str]:
    total, count = (f"sum by ({by}) (rate({family}_{part}{{@}}{RATE}))" for part in ("sum", "count"))
    return {f"{{{{{by}}}}}": f"{total} / {count}"}


_WORKERS: Final = '{job=~"$job"}'
"""Workers are processes of their own, so no server's instance selects them."""

_QUEUE_FULL: Final = (
    f'clamp_min(sum(rate(nv_inference_request_success{{@, model="ocr"}}{RATE}))'
    f' + sum(rate(nv_inference_request_failure{{@, model="ocr", reason="OTHER"}}{RATE})) / 2'
    f' - sum(rate(nv_inference_request_success{{@, model="preprocess"}}{RATE}))'
    f' - sum(rate(nv_inference_request_failure{{@, model="preprocess"}}{RATE})), 0)'
)
"""Requests that found the queue full, which Triton does not count as such (docs/metrics.md)."""

ROWS: Final[Mapping[str, tuple[Panel, ...]]] = {
    "Health": (
        Panel(
            "Engines",
            "none",
            {"{{instance}} {{replica}}": "ocrvl_engine_state{@}"},
            "1: ready; 0: starting or restarting; -1: gave up.",
        ),
        Panel(
            "Age of the last heartbeat",
            "s",
            {"{{instance}} {{replica}}": "time() - ocrvl_heartbeat_timestamp_seconds{@}"},
            "Every process publishes once a second. One that grows has died or hangs.",
        ),
        Panel(
            "Engine restarts in an hour",
            "none",
            {"{{reason}}": "sum by (reason) (increase(ocrvl_engine_restarts_total{@}[1h]))"},
            "died: killed, or out of memory; stalled: no step while requests were running.",
        ),
    ),
    "Requests": (
        Panel("Requests", "reqps", _rate("ocrvl_requests_total", "outcome"), "At the engines, by how they ended."),
        Panel(
            "Refused requests",
            "reqps",
            {**_rate("ocrvl_refusals_total", "reason"), "queue full": _QUEUE_FULL},
            "Before anything was decoded. Requests in flight move `queue full` a little above 0.",
        ),
        Panel(
            "Images and pages",
            "ops",
            {
                "images": f"sum(rate(ocrvl_images_total{{@}}{RATE}))",
                "pages of documents": f"sum(rate(ocrvl_document_pages_total{{@}}{RATE}))",
            },
            "Read to the end.",
        ),
        Panel(
            "Ended early",
            "reqps",
            _rate("ocrvl_cancellations_total", "reason"),
            "By a call of `cancel`, by `timeout_ms`, by callers that went away.",
        ),
        Panel(
            "Errors of Triton",
            "reqps",
            _rate("nv_inference_request_failure", "model, reason", '@, reason=~"BACKEND|REJECTED|CANCELED"'),
            "BACKEND: the model's process is gone. REJECTED: the time in the queue ran out.",
        ),
        Panel("Documents", "ops", _rate("ocrvl_documents_total", "outcome"), "Whole files, by how they ended."),
        Panel("Receipts", "ops", _rate("ocrvl_receipts_total", "outcome"), "By how they ended."),
    ),
    "Saturation": (
        Panel(
            "Images in flight, of what engines take",
            "percentunit",
            {"{{instance}} {{replica}}": "ocrvl_engine_images_in_flight{@} / ocrvl_engine_image_limit{@}"},
            "Not a share of what it can do: a quarter of the limit is more than half of the throughput.",
            maximum=1,
        ),
        Panel(
            "Waiting in Triton's queues",
            "none",
            {"{{model}}": "sum by (model) (nv_inference_pending_request_count{@})"},
            "Near `max_queue_size` the next ones are refused.",
        ),
        Panel(
            "What autoscaling looks at, per server",
            "none",
            {
                "waiting and in flight": "(sum(ocrvl_engine_images_in_flight{@}) + "
                "sum(nv_inference_pending_request_count{@, "
                'model=~"preprocess|ocr_stream|document|document_stream|receipt"}))'
                " / count(count by (instance) (ocrvl_engine_state{@}))",
            },
            "docs/autoscaling.md says what a replica should have.",
        ),
        Panel(
            "Inside vLLM",
            "none",
            {"running": "sum(vllm:num_requests_running{@})", "waiting": "sum(vllm:num_requests_waiting{@})"},
            "Waiting for minutes: more is let in than it runs, or the KV cache is full.",
        ),
        Panel(
            "KV cache in use",
            "percentunit",
            {"{{instance}} {{replica}}": "vllm:kv_cache_usage_perc{@}"},
            "Full, images are put back and computed again.",
            maximum=1,
        ),
        Panel(
            "Put back for lack of KV cache",
            "ops",
            {"images": f"sum(rate(vllm:num_preemptions_total{{@}}{RATE}))"},
            "Above 0: lower `max_num_seqs`.",
        ),
    ),
    "Latency": (
        Panel("A request, in the engine's model", "s", _quantiles("ocrvl_request_seconds"), "Without its queue."),
        Panel("Waiting at the engine gate", "s", _quantiles("ocrvl_engine_gate_wait_seconds"), "Before it is decoded."),
        Panel(
            "Waiting in Triton's queue, mean",
            "s",
            {
                "{{model}}": f"sum by (model) (rate(nv_inference_queue_duration_us{{@}}{RATE})) / 1e6"
                f" / sum by (model) (rate(nv_inference_request_success{{@}}{RATE}))"
            },
            "Before that.",
        ),
        Panel("To the first token", "s", _quantiles("vllm:time_to_first_token_seconds"), "Of an image in vLLM."),
        Panel("Between two tokens", "s", _quantiles("vllm:inter_token_latency_seconds"), "A step of the engine."),
        Panel("Preprocessing, mean", "s", _mean_seconds("ocrvl_preprocess_seconds", "stage"), "Of an image."),
        Panel("Page of a document, mean", "s", _mean_seconds("ocrvl_document_page_seconds", "stage"), "With waiting."),
        Panel("Receipt, mean", "s", _mean_seconds("ocrvl_receipt_seconds", "stage"), "With waiting."),
    ),
    "Images and texts": (
        Panel(
            "Tokens",
            "ops",
            {
                "of prompts": f"sum(rate(vllm:prompt_tokens_total{{@}}{RATE}))",
                "generated": f"sum(rate(vllm:generation_tokens_total{{@}}{RATE}))",
            },
            "None generated while requests run: the engine hangs.",
        ),
        Panel(
            "Texts that were cut",
            "percentunit",
            {
                reason: _share(
                    f'vllm:request_success_total{{@, finished_reason="{reason}"}}', "vllm:request_success_total{@}"
                )
                for reason in ("length", "repetition")
            },
            "Runaway outputs: by `max_tokens`, and because they only repeated themselves.",
        ),
        Panel(
            "Tokens of an image, mean",
            "none",
            {
                "prompt": _share("vllm:prompt_tokens_total{@}", "vllm:request_success_total{@}"),
                "text": _share("vllm:generation_tokens_total{@}", "vllm:request_success_total{@}"),
            },
            "What an image costs.",
        ),
        Panel(
            "Bytes and pixels an image, mean",
            "none",
            {
                "bytes": _share("ocrvl_preprocess_bytes_total{@}", "ocrvl_preprocess_images_total{@}"),
                "pixels": _share("ocrvl_preprocess_pixels_total{@}", "ocrvl_preprocess_images_total{@}"),
            },
            "As they were sent.",
        ),
    ),
    "Receipts": (
        Panel(
            "Lag",
            "none",
            {"{{topic}}": f"sum by (topic) (ocrvl_pipeline_lag{_WORKERS})"},
            "Uploads that are not read yet, and retries that wait. What grows needs workers, or Triton more GPUs.",
        ),
        Panel(
            "Receipts by outcome",
            "ops",
            {"{{outcome}} {{code}}": (f"sum by (outcome, code) (rate(ocrvl_pipeline_messages_total{_WORKERS}{RATE}))")},
            "`retried` and `refused` say why; those are in the dlq.",
        ),
        Panel(
            "Workers",
            "none",
            {
                "in flight": f"sum(ocrvl_pipeline_in_flight{_WORKERS})",
                "taken": f"sum(ocrvl_pipeline_taken{_WORKERS})",
                "waiting {{stage}}": f"sum by (stage) (ocrvl_pipeline_waiting{_WORKERS}) > 0",
            },
            "Waiting: for Triton (`read`), the store (`find`, `fetch`, `write`), Kafka (`publish`).",
        ),
        Panel(
            "Seconds by stage, p95",
            "s",
            {
                "{{stage}}": (
                    "histogram_quantile(0.95, sum by (le, stage) "
                    f"(rate(ocrvl_pipeline_stage_seconds_bucket{_WORKERS}{RATE})))"
                )
            },
            "Without waits for services that were away.",
        ),
        Panel(
            "From upload to result",
            "s",
            _quantiles("ocrvl_pipeline_seconds", 'job=~"$job"'),
            "With the time in Kafka.",
        ),
    ),
    "GPUs": (
        Panel(
            "Memory of the engines' devices",
            "bytes",
            {
                "used {{instance}} {{device}}": "ocrvl_engine_gpu_memory_used_bytes{@}",
                "reserved {{instance}} {{device}}": "ocrvl_engine_gpu_memory_reserved_bytes{@}",
            },
            "Used above reserved: something else is on the device.",
        ),
        Panel(
            "Utilisation",
            "percentunit",
            {"{{instance}} {{gpu_uuid}}": "nv_gpu_utilization{@}"},
            "Where Triton can ask DCGM. Half is usual with small images: the engine's host code is the limit.",
            maximum=1,
        ),
    ),
}
