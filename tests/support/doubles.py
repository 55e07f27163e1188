"""Stand-ins for what surrounds the core, for several test modules: they behave, and remember what was asked of them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from ocrvl.errors import InvalidArgument
from ocrvl.imaging.grid import PixelGrid
from ocrvl.messages import Array, PackedImage, PackedImages, Reading, decode_texts
from ocrvl.models.request import Request
from ocrvl.options import Options
from ocrvl.wire import FinishReason, Task, Tensor

WAIT_SECONDS = 20.0
"""Seconds after which a test that waits for something has failed; far above what a busy machine needs."""

GRID = PixelGrid(14, 2, 3_136, 401_408, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))

Reply = str | Exception | None


def wait_until(condition: Callable[[], object]) -> None:
    """Wait in a thread."""
    end = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.002)


async def until(condition: Callable[[], object]) -> None:
    """Wait on an event loop."""
    end = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        await asyncio.sleep(0.002)


def pack(count: int = 1, options: Options | None = None, task: Task = Task.OCR) -> PackedImages:
    """A request of so many images of 28 x 28 pixels."""
    return PackedImages(
        patches=np.zeros((4 * count, 588), np.uint8),
        grids=np.array([(1, 2, 2)] * count, np.int64),
        source_sizes=np.full((count, 2), 28, np.int32),
        tasks=(task,) * count,
        errors=("",) * count,
        warnings=("",) * count,
        options=options or Options(),
    )


class MemoryTensors:
    """Input tensors from a dictionary."""

    def __init__(self, tensors: Mapping[Tensor, Array]) -> None:
        self._tensors = tensors

    def __call__(self, name: Tensor) -> Array:
        if name not in self._tensors:
            raise InvalidArgument(f"the tensor {name} is missing")
        return self._tensors[name]

    def optional(self, name: Tensor) -> Array | None:
        return self._tensors.get(name)


class MemoryCall:
    """A request and what its caller got: `sent` are the responses before the last, `lasts` the last ones.

    More than one of `lasts` is what must never happen. `is_gone` is whether the caller has gone away, `looks` counts
    how often that was asked.
    """

    def __init__(
        self, tensors: Mapping[Tensor, Array], request_id: str = "", parameters: Mapping[str, Any] | None = None
    ) -> None:
        self.read = MemoryTensors(tensors)
        self.request_id = request_id
        self.parameters = parameters or {}
        self.trace_headers: Mapping[str, str] = {"traceparent": "00-trace"}
        self.timeout: float | None = None
        self.is_gone = False
        self.looks = 0
        self.sent: list[Mapping[Tensor, Array]] = []
        self.lasts: list[Mapping[Tensor, Array] | Exception | None] = []
        self._has_ended = threading.Event()

    def is_abandoned(self) -> bool:
        self.looks += 1
        return self.is_gone and not self.lasts

    def send(self, tensors: Mapping[Tensor, Array]) -> None:
        self.sent.append(tensors)

    def answer(self, tensors: Mapping[Tensor, Array]) -> None:
        self._end(tensors)

    def fail(self, error: Exception) -> None:
        self._end(error)

    def end(self) -> None:
        self._end(None)

    def wait(self) -> Mapping[Tensor, Array] | Exception | None:
        """The last response, once it is there."""
        assert self._has_ended.wait(WAIT_SECONDS), "the call was never answered"
        return self.lasts[0]

    def texts(self) -> list[str]:
        """The texts of its answer. Raises the error that it was answered with."""
        last = self.wait()
        if isinstance(last, Exception):
            raise last
        assert last is not None
        return decode_texts(last[Tensor.TEXT], Tensor.TEXT)

    def _end(self, last: Mapping[Tensor, Array] | Exception | None) -> None:
        self.lasts.append(last)
        self._has_ended.set()


def request_of(units: int = 1, timeout: float | None = None) -> Request[MemoryCall]:
    """A request of so many units, which is ended after so many seconds."""
    request = Request(MemoryCall({}))
    request.units = units
    request.set_timeout(timeout)
    return request


def assert_failed(call: MemoryCall, error: type[Exception], message: str) -> None:
    """It was answered once, with this error."""
    with pytest.raises(error, match=message):
        call.texts()
    assert len(call.lasts) == 1


class ScriptedEngine:
    """Replies to each image by its index, or its request's seed: a text, word by word, an error, or never (None).

    The last reply is for all further images. `is_dying` makes it dead, which does not end what it is reading;
    `is_stepping` makes it do a step at any moment, otherwise its last one was when it was made. `looks` counts how
    often it was asked whether it is dead, `pieces` those of text that it was asked for, `ends` says who ended it. Asked
    to trim its memory it counts that in `trims`, says whether it `has_freed` any, and raises `keeps` where that is set.
    """

    def __init__(self, *replies: Reply) -> None:
        self.replies = replies or ("Soup",)
        self.stepped_at = time.monotonic()
        self.is_stepping = False
        self.is_dying = False
        self.at_work = 0
        self.pieces = 0
        self.looks = 0
        self.trims = 0
        self.has_freed = True
        self.keeps: Exception | None = None
        self.ends: list[str] = []

    @property
    def is_dead(self) -> bool:
        self.looks += 1
        return self.is_dying

    @property
    def last_step(self) -> float:
        return time.monotonic() if self.is_stepping else self.stepped_at

    async def read(
        self,
        image: PackedImage,
        options: Options,
        request_id: str,
        *,
        trace_headers: Mapping[str, str] | None = None,
        on_text: Callable[[str], None] | None = None,
    ) -> Reading:
        number = image.index if options.seed is None else options.seed
        reply = self.replies[min(number, len(self.replies) - 1)]
        self.at_work += 1
        try:
            await asyncio.sleep(0)
            if isinstance(reply, Exception):
                raise reply
            if reply is None:
                await asyncio.Event().wait()
            assert isinstance(reply, str)
            for word in reply.split():
                await asyncio.sleep(0)
                if on_text:
                    self.pieces += 1
                    on_text(word)
            return Reading(image.index, reply, FinishReason.STOP, 5, len(reply.split()))
        finally:
            self.at_work -= 1

    async def trim_memory(self) -> bool:
        self.trims += 1
        if self.keeps:
            raise self.keeps
        return self.has_freed

    def kill(self) -> None:
        self.ends.append("killed")

    def stop(self) -> None:
        self.ends.append("stopped")


class NoPostprocessing:
    """Leaves every text as it is."""

    def truncate_repetitive_content(self, content: str, *, min_count: int) -> str:
        return content

    def convert_otsl_to_html(self, otsl_content: str) -> str:
        return otsl_content

    def post_process_for_spotting(self, input_str: str, w: int, h: int) -> tuple[str, dict[str, Any]]:
        return input_str, {}
