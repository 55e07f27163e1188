"""The metrics of this project's models: names, labels, buckets."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from ocrvl.errors import OcrError
from ocrvl.wire import ErrorCode

PREFIX: Final = "ocrvl_"
"""What the names of all metrics of this project begin with."""

WAIT_BUCKETS: Final = (0.001, 0.01, 0.1, 0.5, 1, 2, 5, 10, 30, 60)
"""Seconds that a request waits for an engine: none where one is available, up to the timeout of a queue."""

REQUEST_BUCKETS: Final = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600)
"""Seconds of a request: from one line of text on a GPU to 64 pages on a CPU."""

IMAGE_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
"""Seconds of one image on one core: a crop takes a millisecond, 100 million pixels some seconds."""


class RestartReason(StrEnum):
    """Why an engine was restarted: its process ended, or made no step while requests were running."""

    DIED = "died"
    STALLED = "stalled"


class Outcome(StrEnum):
    """How a request ended; `ok` and the classes of `ocrvl.errors`."""

    OK = "ok"
    INVALID = "invalid"
    UNAVAILABLE = "unavailable"
    CANCELLED = "cancelled"
    INTERNAL = "internal"

    @classmethod
    def from_error(cls, error: Exception | None) -> Outcome:
        """The outcome of a request that ended with this error; None is no error.

        >>> Outcome.from_error(None), Outcome.from_error(KeyError("x"))
        (<Outcome.OK: 'ok'>, <Outcome.INTERNAL: 'internal'>)
        """
        if error is None:
            return cls.OK
        return _OUTCOMES[error.code if isinstance(error, OcrError) else ErrorCode.INTERNAL]


_OUTCOMES: Final = {
    ErrorCode.INVALID_ARG: Outcome.INVALID,
    ErrorCode.UNAVAILABLE: Outcome.UNAVAILABLE,
    ErrorCode.CANCELLED: Outcome.CANCELLED,
    ErrorCode.INTERNAL: Outcome.INTERNAL,
}


class CancelReason(StrEnum):
    """What ended a request early: a call to `cancel`, `timeout_ms`, or a caller that went away."""

    TOKEN = "token"  # noqa: S105 - a label
    TIMEOUT = "timeout"
    CALLER = "caller"


class RefusalReason(StrEnum):
    """Why `preprocess` refused a request: it cannot succeed as it is, or every engine is down.

    Requests that find the queue full are refused by Triton, and no model sees them (docs/metrics.md).
    """

    INVALID = "invalid"
    DOWN = "down"


class PageStage(StrEnum):
    """The stages of reading a page of a document, with the time that it waited before each."""

    DRAW = "draw"
    LAYOUT = "layout"
    READ = "read"


class ReceiptStage(StrEnum):
    """The stages of a receipt, with the time that it waited before each: decoding it and finding its lines is one."""

    DETECT = "detect"
    READ = "read"
    FIELDS = "fields"


class Stage(StrEnum):
    """The stages of preprocessing an image, and all of them."""

    DECODE = "decode"
    RESIZE = "resize"
    PATCH = "patch"
    TOTAL = "total"


class ModelMetrics:
    """What every model has, in a registry of its own: two objects never share a value."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.heartbeat = self._gauge("heartbeat_timestamp_seconds", "Unix time of this process's last publication")

    def _gauge(self, name: str, meaning: str, label: str | None = None) -> Gauge:
        return Gauge(PREFIX + name, meaning, [label] if label else [], registry=self.registry)

    def _counter(self, name: str, meaning: str, label: str | None = None, values: Iterable[str] = ()) -> Counter:
        counter = Counter(PREFIX + name, meaning, [label] if label else [], registry=self.registry)
        # `rate` does not see a series' first value, so all of them begin at 0
        for value in values:
            counter.labels(value)
        return counter

    def _histogram(self, name: str, meaning: str, buckets: tuple[float, ...], label: str | None = None) -> Histogram:
        return Histogram(PREFIX + name, meaning, [label] if label else [], registry=self.registry, buckets=buckets)

    def _cancellations(self) -> Counter:
        return self._counter("cancellations_total", "Requests ended early, by what ended them", "reason", CancelReason)


class EngineMetrics(ModelMetrics):
    """Of the model that holds an engine."""

    def __init__(self) -> None:
        super().__init__()
        self.state = self._gauge("engine_state", "1 ready, 0 starting or restarting, -1 gave up")
        self.last_step = self._gauge("engine_last_step_timestamp_seconds", "Unix time of the engine's last step")
        self.images_in_flight = self._gauge("engine_images_in_flight", "Images that the engine has taken")
        self.image_limit = self._gauge("engine_image_limit", "Images that the engine takes at a time")
        self.restarts = self._counter("engine_restarts_total", "Restarts of the engine", "reason", RestartReason)
        self.memory_trims = self._counter(
            "engine_memory_trims_total", "Times that the engine's processes returned memory that they had freed"
        )
        self.requests = self._counter("requests_total", "Requests answered by the engine's model", "outcome", Outcome)
        self.cancellations = self._cancellations()
        self.images = self._counter("images_total", "Images of requests that ended ok")
        self.adapter_images = self._counter(
            "adapter_images_total", "Images read with an adapter, of requests that ended ok", "adapter"
        )
        self.admission_wait = self._histogram(
            "admission_wait_seconds", "Time that a request waited until the engine could take it", WAIT_BUCKETS
        )
        self.request_seconds = self._histogram(
            "request_seconds", "Time from taking a request to its answer, in the engine's model", REQUEST_BUCKETS
        )
        self.gpu_memory_used = self._gauge(
            "engine_gpu_memory_used_bytes", "Memory in use on the engine's device, by all processes", "device"
        )
        self.gpu_memory_reserved = self._gauge(
            "engine_gpu_memory_reserved_bytes", "Memory of the device that the engine may take", "device"
        )


class PreprocessMetrics(ModelMetrics):
    """Of the model that turns images into patches."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = self._histogram("preprocess_seconds", "Time for one image, by stage", IMAGE_BUCKETS, "stage")
        for stage in Stage:
            self.seconds.labels(stage)
        self.images = self._counter("preprocess_images_total", "Images preprocessed")
        self.pixels = self._counter("preprocess_pixels_total", "Pixels of the images as they were sent")
        self.bytes = self._counter("preprocess_bytes_total", "Bytes of the images as they were sent")
        self.refusals = self._counter("refusals_total", "Requests that preprocess refused", "reason", RefusalReason)
        self.gate_wait = self._histogram(
            "engine_gate_wait_seconds", "Time that a request waited until an engine was available", WAIT_BUCKETS
        )


class StreamMetrics(ModelMetrics):
    """Of the model that streams."""

    def __init__(self) -> None:
        super().__init__()
        self.streams_open = self._gauge("streams_open", "Streams that are being answered")
        self.deltas = self._counter("deltas_total", "Pieces of text sent")
        self.cancellations = self._cancellations()


class LayoutMetrics(ModelMetrics):
    """Of the model that finds the blocks of pages."""

    def __init__(self) -> None:
        super().__init__()
        self.pages = self._counter("layout_pages_total", "Pages whose blocks were found")
        self.seconds = self._histogram("layout_seconds", "Time for the pages of one batch", IMAGE_BUCKETS)


class FieldsMetrics(ModelMetrics):
    """Of the model that finds fields among words."""

    def __init__(self) -> None:
        super().__init__()
        self.receipts = self._counter("fields_receipts_total", "Receipts whose fields were found")
        self.seconds = self._histogram("fields_seconds", "Time for the receipts of one batch", IMAGE_BUCKETS)


class DocumentMetrics(ModelMetrics):
    """Of the models that read whole files."""

    def __init__(self) -> None:
        super().__init__()
        self.open = self._gauge("documents_open", "Documents in progress")
        self.blocks = self._gauge(
            "document_blocks_in_flight", "Blocks of documents sent to the engines, not yet answered"
        )
        self.documents = self._counter("documents_total", "Documents ended", "outcome", Outcome)
        self.pages = self._counter("document_pages_total", "Pages of documents that ended ok")
        self.seconds = self._histogram("document_page_seconds", "Time for one page, by stage", REQUEST_BUCKETS, "stage")
        for stage in PageStage:
            self.seconds.labels(stage)
        self.cancellations = self._cancellations()


class ReceiptMetrics(ModelMetrics):
    """Of the model that reads receipts."""

    def __init__(self) -> None:
        super().__init__()
        self.open = self._gauge("receipts_open", "Receipts in progress")
        self.in_flight = self._gauge(
            "receipt_lines_in_flight", "Lines of receipts sent to the engines, not yet answered"
        )
        self.receipts = self._counter("receipts_total", "Receipts ended", "outcome", Outcome)
        self.lines = self._counter("receipt_lines_total", "Lines of receipts that ended ok")
        self.seconds = self._histogram("receipt_seconds", "Time for one receipt, by stage", REQUEST_BUCKETS, "stage")
        for stage in ReceiptStage:
            self.seconds.labels(stage)
        self.cancellations = self._cancellations()
