"""A request to `ocr_stream`, and what is heard of it."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass

from ocrvl.control_channel.messages import Message
from ocrvl.errors import OcrError
from ocrvl.models.request import Request
from ocrvl.options import parse_options
from ocrvl.triton.context import Call
from ocrvl.wire import Tensor


@dataclass(frozen=True)
class EngineLost:
    """The process of the engine that had the stream has gone."""


@dataclass(frozen=True)
class OcrAnswered:
    """`ocr` has answered, with an error or without."""

    error: OcrError | None


class StreamRequest(Request[Call]):
    """A request whose text is sent on as it is generated; `name` is its stream's on the control channel.

    `events` are what is heard of it, `replica` the engine that has taken it, `ocr_call` the call to `ocr`.
    """

    ocr_call: asyncio.Task[None]

    def __init__(self, call: Call) -> None:
        super().__init__(call)
        self.name = uuid.uuid4().hex
        self.replica = ""
        self.events: asyncio.Queue[Message | EngineLost | OcrAnswered] = asyncio.Queue()

    def decode(self) -> None:
        """Read its options. Raises `InvalidArgument`."""
        raw = self.call.read.optional(Tensor.OPTIONS)
        options = parse_options(None if raw is None else raw.item())
        self.set_timeout(None if options.timeout_ms is None else options.timeout_ms / 1000)
