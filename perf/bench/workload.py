"""What is measured: classes of images, and the engine that all systems run with the same settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Any, Final

from ocrvl.checkpoint import resolve_checkpoint
from perf.gpu.stand_in import write_stand_in
from perf.images import SizeClass, draw_files


class Size(StrEnum):
    """Classes of images."""

    LINE = "line"
    RECEIPT = "receipt"
    PAGE = "page"


class SystemName(StrEnum):
    """The systems that are compared, by the words of the command line."""

    OURS = "ours"
    VLLM = "vllm"
    ENGINE = "engine"
    OWN_CLASS = "own-class"
    ONE_AT_A_TIME = "one-at-a-time"
    BASE64 = "base64"
    SDK = "sdk"
    GATEWAY = "gateway"

    @property
    def label(self) -> str:
        """As tables and figures name it."""
        return _LABELS[self]


_LABELS: Final = {
    SystemName.OURS: "this server",
    SystemName.VLLM: "vLLM's OpenAI server",
    SystemName.ENGINE: "engine alone",
    SystemName.OWN_CLASS: "this server, vLLM's own class",
    SystemName.ONE_AT_A_TIME: "transformers behind FastAPI",
    SystemName.BASE64: "base64 to vLLM in Triton",
    SystemName.SDK: "SDK",
    SystemName.GATEWAY: "gateway",
}
_ON_ONE_CHECKPOINT: Final = (
    *(SystemName.OURS, SystemName.VLLM, SystemName.ENGINE),
    *(SystemName.OWN_CLASS, SystemName.ONE_AT_A_TIME, SystemName.BASE64),
)

_IMAGES: Final = 32
"""Distinct images of each class: as many as are in flight."""


@dataclass(frozen=True)
class Benchmark:
    """What is compared on which checkpoint, and how many tokens an image may become.

    `in_flight` is how many images one measurement sends at once, at least and at most; `alone` how many one after the
    other. Sizes that are in neither are not measured. `systems` are those that are compared.
    """

    name: str
    description: str
    systems: Sequence[SystemName]
    max_tokens: Mapping[Size, int]
    in_flight: Mapping[Size, tuple[int, int]]
    alone: Mapping[Size, int]

    def write_checkpoint(self, folder: Path) -> Path:
        """The checkpoint's folder, written where it is made up."""
        if self is NANO:
            return resolve_checkpoint("nano", Path())
        return write_stand_in(folder, text=_THIN_TEXT, vision=_THIN_VISION)

    def engine_args(self, checkpoint: Path) -> dict[str, Any]:
        """VLLM's engine arguments, the same for all systems."""
        return {
            "model": str(checkpoint),
            "load_format": "auto" if self is NANO else "dummy",
            "dtype": "float32",
            "max_model_len": 4096,
            "max_num_seqs": 32,
            "max_num_batched_tokens": 4096,
            "num_gpu_blocks_override": 512,
            "enforce_eager": True,
            "enable_prefix_caching": False,
            "mm_processor_cache_gb": 0,
            "limit_mm_per_prompt": {"image": 1},
            "generation_config": "vllm",
            # one rank needs no process of its own; by its path, since its name is overruled on a CPU
            "distributed_executor_backend": "vllm.v1.executor.uniproc_executor.UniProcExecutor",
        }


NANO: Final = Benchmark(
    "nano",
    "the embedded nano checkpoint, float32, the engine on one core and everything else on another",
    systems=_ON_ONE_CHECKPOINT,
    max_tokens={Size.LINE: 32, Size.RECEIPT: 64, Size.PAGE: 64},
    in_flight={Size.LINE: (32, 64), Size.RECEIPT: (8, 64), Size.PAGE: (3, 12)},
    alone={Size.LINE: 3, Size.RECEIPT: 1, Size.PAGE: 1},
)
THIN: Final = Benchmark(
    "thin",
    "random weights, one layer of 64, so that what is left is everything but the model; 1 token an image",
    systems=tuple(name for name in _ON_ONE_CHECKPOINT if name is not SystemName.ONE_AT_A_TIME),
    max_tokens={Size.LINE: 1, Size.RECEIPT: 1, Size.PAGE: 1},
    in_flight={Size.LINE: (32, 64), Size.RECEIPT: (32, 64), Size.PAGE: (6, 12)},
    alone={Size.LINE: 5, Size.RECEIPT: 5, Size.PAGE: 1},
)
TOKENS: Final = Benchmark(
    "tokens",
    "the model of `thin`, but 400 tokens a line: what a token costs",
    systems=(SystemName.OURS, SystemName.VLLM),
    max_tokens=dict.fromkeys(Size, 400),
    in_flight={Size.LINE: (32, 32)},
    alone={},
)
_THIN_TEXT: Final = {
    "head_dim": 32,
    "hidden_size": 64,
    "intermediate_size": 64,
    "num_attention_heads": 2,
    "num_hidden_layers": 1,
    "num_key_value_heads": 2,
    "tie_word_embeddings": True,
}
_THIN_VISION: Final = {
    "hidden_size": 64,
    "image_size": 224,
    "intermediate_size": 64,
    "num_attention_heads": 2,
    "num_hidden_layers": 1,
}


def draw_images(seed: int = 0) -> dict[Size, list[bytes]]:
    """Files of distinct images: lines and receipts as PNG, A4 pages at 150 dpi as JPEG."""
    classes = {Size.LINE: SizeClass.LINE, Size.RECEIPT: SizeClass.RECEIPT, Size.PAGE: SizeClass.A4_150}
    return {size: list(islice(draw_files(drawn, seed), _IMAGES)) for size, drawn in classes.items()}
