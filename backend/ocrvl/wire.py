"""The names on the wire: models, tensors, tasks, finish reasons, error codes.

The one place where they are written in Python; a contract test holds every `config.pbtxt` to them. The client
imports this module, so it imports nothing heavy.
"""

from __future__ import annotations

import re
from enum import IntEnum, StrEnum
from typing import Final


class Model(StrEnum):
    """The models of the repository, in the order a request passes them."""

    OCR = "ocr"
    STREAM = "ocr_stream"
    PREPROCESS = "preprocess"
    ENGINE = "paddleocr_vl"
    CANCEL = "cancel"
    LAYOUT = "layout"
    DOCUMENT = "document"
    DOCUMENT_STREAM = "document_stream"
    FIELDS = "fields"
    RECEIPT = "receipt"


class Tensor(StrEnum):
    """Every tensor of every model."""

    # in, `ocr`
    IMAGE = "image"
    TASK = "task"
    OPTIONS = "options"
    # in, the engine (`paddleocr_vl`)
    PATCHES = "patches"
    GRID_THW = "grid_thw"
    TASKS = "tasks"
    SOURCE_SIZE = "source_size"
    CHECKED_OPTIONS = "checked_options"
    IMAGE_ERROR = "image_error"
    IMAGE_WARNING = "image_warning"
    # out, `ocr`
    TEXT = "text"
    FINISH_REASON = "finish_reason"
    NUM_INPUT_TOKENS = "num_input_tokens"
    NUM_OUTPUT_TOKENS = "num_output_tokens"
    ERROR = "error"
    WARNING = "warning"
    # out, `ocr_stream` alone
    INDEX = "index"
    FULL_TEXT = "full_text"
    # `layout`
    PIXELS = "pixels"
    LABEL = "label"
    SCORE = "score"
    BOX = "box"
    POLYGON = "polygon"
    # in, `document`
    FILE = "file"
    # out, `document`: one element a page, then one an image, then one in all
    PAGE_INDEX = "page_index"
    MARKDOWN = "markdown"
    JSON = "json"
    PAGE_ERROR = "page_error"
    PAGE_WARNING = "page_warning"
    IMAGE_NAME = "image_name"
    IMAGE_DATA = "image_data"
    IMAGE_PAGE = "image_page"
    PAGES_DONE = "pages_done"
    PAGES_TOTAL = "pages_total"
    DOCUMENT_MARKDOWN = "document_markdown"
    DOCX = "docx"
    # in, `fields`: one element a word, in an image whose pixels or whose size are given; out, as `receipt`: `json`
    WORDS = "words"
    LINE = "line"
    SIZE = "size"
    # `cancel`
    CANCEL_TOKEN = "cancel_token"  # noqa: S105 - a name
    CANCELLED = "cancelled"


class Task(StrEnum):
    """What the model is asked to read. `seal` and `spotting` exist from PaddleOCR-VL-1.5 on."""

    OCR = "ocr"
    TABLE = "table"
    FORMULA = "formula"
    CHART = "chart"
    SEAL = "seal"
    SPOTTING = "spotting"


class FinishReason(StrEnum):
    """Why generation of one image's text ended. `error`: it never ran, see the `error` output."""

    STOP = "stop"
    LENGTH = "length"
    REPETITION = "repetition"
    ERROR = "error"


class EngineState(IntEnum):
    """Values of the gauge `ocrvl_engine_state`."""

    READY = 1
    STARTING = 0
    GAVE_UP = -1


class ErrorCode(StrEnum):
    """What a caller can do about an error: change the request, try again, nothing (it was cancelled), report it."""

    INVALID_ARG = "INVALID_ARG"
    UNAVAILABLE = "UNAVAILABLE"
    CANCELLED = "CANCELLED"
    INTERNAL = "INTERNAL"


MAX_IMAGES: Final = 64
"""Images in one request."""

DEFAULT_TOKENS: Final = 4096
"""Tokens generated for an image at most, unless the request says otherwise (PaddleOCR-VL's model card)."""

STREAM_PARAMETER: Final = "ocrvl_stream"
"""The request parameter by which `ocr_stream` asks the engine for its text as it is generated."""

PART_PARAMETER: Final = "ocrvl_part_of"
"""The request parameter by which `document` says of its blocks that they are part of a request with its own line."""

_PAGES = re.compile(r"{0}(,{0})*".format(r"[1-9][0-9]{0,5}(-([1-9][0-9]{0,5})?)?"))

NO_SHARED_MEMORY: Final = "Failed to increase the shared memory pool size"
"""Words of Triton's Python backend where `/dev/shm` has no space for a request's tensors; it calls that INTERNAL."""

NO_VERSION: Final = "has no available versions"
"""Words of Triton for a model that it has, and that is loading still or unloaded already; it calls that NOT_FOUND."""

QUEUE_REFUSALS: Final = ("Exceeds maximum queue size", "Request timeout expired")
"""Words of Triton's queues for a request that they refuse, or that has waited too long."""

UNAVAILABLE_MESSAGES: Final = (
    *QUEUE_REFUSALS,
    "is not healthy",
    "is not ready",
    "stopping",
    NO_SHARED_MEMORY,
    NO_VERSION,
)
"""Words in what Triton itself says when it cannot take a request now: a full queue, a killed model, its end. They are
untagged, and ensembles lose the status with them."""

_TAGGED = re.compile(r"\[(" + "|".join(ErrorCode) + r")\] (.*)", re.DOTALL)


def check_pages(pages: str) -> str:
    """The option `pages` of a document as it is. Raises `ValueError` that says what is expected.

    >>> check_pages("1-5,8,12-")
    '1-5,8,12-'
    """
    if not _PAGES.fullmatch(pages):
        raise ValueError(f"{pages[:40]!r}: expected pages from 1 on and ranges of them, such as 1-5,8,12-")
    return pages


def tag_message(code: ErrorCode, message: str) -> str:
    """The message as it travels: Triton drops codes on gRPC streams and in model-to-model calls, text survives.

    >>> tag_message(ErrorCode.INVALID_ARG, "image 0 is empty")
    '[INVALID_ARG] image 0 is empty'
    """
    return f"[{code}] {message}"


def untag_message(text: str) -> tuple[ErrorCode | None, str]:
    """The code and the message of a tagged text; None for a text that carries no tag (Triton's own errors).

    Triton may put its own words in front of a model's message, so the tag is looked for anywhere.

    >>> untag_message("in ensemble 'ocr', [UNAVAILABLE] the queue is full")
    (<ErrorCode.UNAVAILABLE: 'UNAVAILABLE'>, 'the queue is full')
    >>> untag_message("unexpected shape")
    (None, 'unexpected shape')
    """
    if match := _TAGGED.search(text):
        return ErrorCode(match[1]), match[2]
    return None, text
