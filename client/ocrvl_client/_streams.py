"""Parts of a stream's answers, the same for threads and asyncio."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

from ocrvl.wire import Tensor
from ocrvl_client._documents import Document
from ocrvl_client._messages import Array
from ocrvl_client._readings import Reading

P = TypeVar("P")
L = TypeVar("L", bound=Reading | Document)


class StreamDecoder(Generic[P, L]):
    """Decodes answers into parts, and holds the last part back until the stream has ended: many callers leave at it.

    `decode` gets an answer and the seconds since the request began.
    """

    def __init__(self, decode: Callable[[Mapping[Tensor, Array], float], list[P] | L]) -> None:
        self._decode = decode
        self._began = time.monotonic()
        self._last: list[L] = []

    def decode(self, answer: Mapping[Tensor, Array]) -> Sequence[P]:
        """The parts to hand out now. Raises `OcrvlError`."""
        decoded = self._decode(answer, time.monotonic() - self._began)
        if isinstance(decoded, Reading | Document):
            self._last = [decoded]
            return ()
        return decoded

    def end(self) -> Sequence[L]:
        """The last part, now that the stream has ended; none where it ended without one."""
        return self._last
