"""Settings of our own models: `parameters` in their `config.pbtxt`, read once when a model loads.

vLLM's own settings are in `model.json`, see `ocrvl.engine_settings`.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from ocrvl.validation import find_field_errors

_MAX_STREAM_CALLS: Final = 30
"""Of 32 threads: a call that ends needs one for its last response."""


def _parse_flag(value: object) -> object:
    flags = {"true": True, "false": False}
    if isinstance(value, str):
        if value not in flags:
            raise ValueError("expected true or false")
        return flags[value]
    return value


def _check_gpus(value: str) -> str:
    numbers = value.split(",")
    if not all(re.fullmatch(r"[0-9]+", number) for number in numbers):
        raise ValueError("expected numbers of devices with commas, like 0,1")
    if len(set(map(int, numbers))) < len(numbers):
        raise ValueError("a device is named twice")
    return value


def _check_cores(value: str) -> str:
    if not re.fullmatch(r"{0}(\|{0})*".format(r"[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*"), value):
        raise ValueError("expected the cores of each engine or rank with |, like 0-3|4-7 or 0,2|1,3")
    return value


def _parse_names(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        names = json.loads(value)
    except ValueError:
        names = None
    if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
        raise ValueError('expected a JSON object of labels, like {"MENU.NM": "item_name"}')
    return names


Flag = Annotated[bool, BeforeValidator(_parse_flag)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class ModelSettings(BaseModel):
    """The settings of a model; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PreprocessSettings(ModelSettings):
    """Settings of `preprocess`: what one request may be."""

    max_image_bytes: int = Field(67_108_864, ge=1, description="bytes of one encoded image")
    max_image_pixels: int = Field(100_000_000, ge=1, description="pixels that an image's header may promise")
    max_request_bytes: int = Field(134_217_728, ge=1, description="bytes of a request's encoded images")
    max_image_seconds: Seconds = Field(10.0, description="processor time for decoding one image")
    max_request_seconds: Seconds = Field(
        30.0, description="processor time for decoding and resizing a request's images"
    )
    max_patch_bytes: int = Field(
        201_326_592,
        ge=1,
        description="bytes of a request's patches, in shared memory",
    )
    scaled_jpeg: Flag = Field(
        True,
        description="decode large JPEGs at a half, a quarter or an eighth: faster, nearly the same pixels",
    )
    exact_resize: Flag = Field(
        False,
        description="resize with Pillow, to the very pixels of the model's own image processor, in five times the time",
    )
    log_requests: Flag = Field(True, description="log each request that is refused here")


class EngineModelSettings(ModelSettings):
    """Settings of `paddleocr_vl`: what surrounds its engine."""

    prefetch_requests: int | None = Field(
        None,
        ge=0,
        description="images taken beyond `max_num_seqs`, ready for the engine",
    )
    stall_seconds: Seconds = Field(60.0, description="an engine with requests and no step is restarted after it")
    max_failures: int = Field(
        5, ge=0, description="restarts within `failure_window_seconds`; at the next failure the engine stays down"
    )
    failure_window_seconds: Seconds = Field(600.0, description="how far back failures count")
    hold_seconds: float = Field(
        10.0,
        ge=0,
        allow_inf_nan=False,
        description="how long an instance whose engine restarts holds a request where there are others",
    )
    warm_up: Flag = Field(True, description="read white images before the model is ready")
    packed_encoder: Flag = Field(
        True,
        description="encode all images of a step together, from bytes; `false`: one by one, by vLLM's own class",
    )
    trim_memory_seconds: float = Field(
        60.0,
        ge=0,
        allow_inf_nan=False,
        description="how often a working engine returns freed memory to the system; 0: never",
    )
    gpus: Annotated[str, AfterValidator(_check_gpus)] | None = Field(
        None, description="devices of an instance that has several (`tensor_parallel_size`)"
    )
    cpu_cores: Annotated[str, AfterValidator(_check_cores)] | None = Field(
        None, description="cores of each engine or rank, as in vLLM's `VLLM_CPU_OMP_THREADS_BIND`"
    )
    log_requests: Flag = Field(True, description="log each request")


class StreamSettings(ModelSettings):
    """Settings of `ocr_stream`."""

    max_calls: int = Field(
        24,
        ge=1,
        le=_MAX_STREAM_CALLS,
        description="calls to `ocr` at a time in an instance, from Triton's pool of 32 threads",
    )


class LayoutSettings(ModelSettings):
    """Settings of `layout`."""

    detector: Literal["embedded", "PP-DocLayoutV3", "PP-DocLayoutV2"] = Field(
        "embedded",
        description="the package's own, on the CPU, or PaddleOCR's",
    )
    folder: Path | None = Field(None, description="files of PaddleOCR's model; PaddleX fetches them unless set")
    engine: Literal["transformers", "onnxruntime"] | None = Field(
        None, description="what runs PaddleOCR's model; `transformers` on a GPU, else `onnxruntime`"
    )
    threads: int = Field(1, ge=1, le=256, description="threads of one instance, on a CPU")
    max_image_bytes: int = Field(67_108_864, ge=1, description="bytes of one encoded image")
    max_image_pixels: int = Field(100_000_000, ge=1, description="pixels of one image")
    max_image_seconds: Seconds = Field(10.0, description="processor time for decoding one image")


class DocumentSettings(ModelSettings):
    """Settings of `document` and of `document_stream`."""

    max_documents: int = Field(8, ge=1, le=64, description="documents read at a time in an instance")
    max_pages: int = Field(1000, ge=1, description="pages of a request")
    max_file_bytes: int = Field(268_435_456, ge=1, description="bytes of a file")
    max_page_pixels: int = Field(
        40_000_000, ge=1, description="pixels of a page; larger pages of a PDF are drawn at fewer dots an inch"
    )
    max_page_blocks: int = Field(500, ge=1, description="blocks of a page; more are left out, with a warning")
    pages_at_once: int = Field(4, ge=1, le=64, description="pages of a document held as images at a time")
    max_blocks: int | None = Field(
        None,
        ge=1,
        description="blocks of an instance's documents sent to the engines at a time",
    )
    max_calls: int = Field(
        24,
        ge=1,
        le=_MAX_STREAM_CALLS,
        description="calls to other models at a time in an instance, from Triton's pool of 32 threads",
    )
    retry_timeout_seconds: Seconds = Field(120.0, description="how long a document waits for an engine that restarts")
    draw_seconds: Seconds = Field(60.0, description="time to open a PDF or to draw a page")
    document_draw_seconds: Seconds = Field(
        600.0, description="time to draw all pages of a PDF; those left have an error"
    )
    document_seconds: Seconds = Field(3600.0, description="time for a document; pages not read by then have an error")
    log_requests: Flag = Field(True, description="log each document")


class FieldsSettings(ModelSettings):
    """Settings of `fields`."""

    checkpoint: str = Field(
        "fields",
        min_length=1,
        description="the token classifier: the package's own, or a folder or a hub id with an exported LayoutLMv3",
    )
    labels: Annotated[dict[str, str], BeforeValidator(_parse_names)] = Field(
        {},
        description="what the checkpoint's labels are, by their names without `B-` and `I-`",
    )
    date_order: Literal["dmy", "mdy"] | None = Field(
        None,
        description="how 03/04/2026 is read where neither the numbers nor the currency say it; no value unless set",
    )
    threads: int = Field(1, ge=1, le=256, description="threads of one instance")
    max_words: int = Field(2048, ge=1, description="words of one receipt")
    max_image_pixels: int = Field(16_777_216, ge=1, description="pixels of one image")


class ReceiptSettings(ModelSettings):
    """Settings of `receipt`."""

    detector: Literal["embedded", "spotting"] = Field(
        "embedded",
        description="what finds lines: PaddleOCR's text detector on the CPU, or the engine, from PaddleOCR-VL-1.5 on",
    )
    detector_file: Path | None = Field(None, description="another of PaddleOCR's text detectors, as an ONNX file")
    detector_side: int = Field(736, ge=64, le=4096, description="pixels of an image's longer side for the detector")
    threads: int | None = Field(
        None, ge=1, le=256, description="images decoded and looked at at a time in an instance, a core each"
    )
    max_receipts: int = Field(16, ge=1, le=256, description="receipts read at a time in an instance")
    max_receipt_lines: int = Field(500, ge=1, description="lines of a receipt; more are left out, with a warning")
    max_lines: int | None = Field(
        None,
        ge=1,
        description="lines of an instance's receipts sent to the engines at a time",
    )
    max_calls: int = Field(
        24,
        ge=1,
        le=_MAX_STREAM_CALLS,
        description="calls to other models at a time in an instance, from Triton's pool of 32 threads",
    )
    retry_timeout_seconds: Seconds = Field(
        30.0,
        description="how long a receipt waits for a model that is full or an engine that restarts",
    )
    max_image_bytes: int = Field(67_108_864, ge=1, description="bytes of one encoded image")
    max_image_pixels: int = Field(40_000_000, ge=1, description="pixels of one image")
    max_image_seconds: Seconds = Field(10.0, description="processor time for decoding one image")
    log_requests: Flag = Field(True, description="log each receipt")

    @property
    def looking_threads(self) -> int:
        """Images at a time, where `threads` does not say how many."""
        return self.threads or max(1, len(os.sched_getaffinity(0)) // 2)


T = TypeVar("T", bound=ModelSettings)


def parse_parameters(cls: type[T], parameters: Mapping[str, str], source: Path) -> T:
    """The settings from a model's `parameters`; `source` is the file that they are written in.

    Raises `ValueError` with all problems, a line each: the file, the key, and what is allowed.
    """
    try:
        return cls.model_validate(dict(parameters))
    except ValidationError as error:
        problems = (problem.describe(cls.model_fields, with_value=True) for problem in find_field_errors(error))
        raise ValueError("\n".join(f"{source}: parameters: {problem}" for problem in problems)) from None
