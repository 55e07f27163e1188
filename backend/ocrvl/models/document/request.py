"""A request for a document."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ocrvl.errors import InvalidArgument
from ocrvl.messages import Array
from ocrvl.models.document.options import DocumentOptions, parse_document_options
from ocrvl.models.document.pages import Pages
from ocrvl.models.request import Request
from ocrvl.triton.context import Call
from ocrvl.wire import Tensor


class DocumentRequest(Request[Call]):
    """A request for a document, whose `token` ends what the engines read for it.

    `file` is the file as it was sent, which is let go when it is open; `pages` counts those of an answer, of which
    `rest` is what has not been sent yet. `drawing` is held while one of its pages is drawn: a slow document takes one
    thread, and leaves the others to the others.
    """

    event = "document"

    options: DocumentOptions
    file: bytes
    token: str

    def __init__(self, call: Call) -> None:
        super().__init__(call)
        self.drawing = asyncio.Lock()
        self.pages = 0
        self.rest: Iterable[Mapping[Tensor, Array]] = ()

    def decode(self, max_file_bytes: int) -> None:
        """Read it from its tensors. Raises `InvalidArgument`."""
        raw = self.call.read.optional(Tensor.OPTIONS)
        self.options = parse_document_options(None if raw is None else raw.item())
        self.file = self.call.read(Tensor.FILE).item()
        if len(self.file) > max_file_bytes:
            raise InvalidArgument(f"the file has {len(self.file)} bytes, at most {max_file_bytes} are taken")
        self.token = self.options.cancel_token or uuid.uuid4().hex
        self.trace_headers = self.call.trace_headers
        self.set_timeout(None if self.options.timeout_ms is None else self.options.timeout_ms / 1000)

    def finish(self, error: Exception | None) -> None:
        """It has its answer, or this error and no pages."""
        super().finish(error)
        if error is not None:
            self.pages = 0

    def counts(self) -> Mapping[str, int]:
        """Pages."""
        return {"pages": self.pages}


@dataclass(frozen=True)
class OpenDocument:
    """A document whose file is open: `chosen` are the pages to read, from 0 on, `key` names its images.

    Pages that are not read at `ends_at`, in seconds of `time.monotonic`, are not read any more.
    """

    request: DocumentRequest
    pages: Pages
    chosen: Sequence[int]
    key: str
    ends_at: float

    @property
    def is_late(self) -> bool:
        """Whether its time is over."""
        return time.monotonic() >= self.ends_at
