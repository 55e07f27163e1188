"""HTTP/1.1 with bounds that uvicorn lacks: bytes and time of a request's head, time in which nobody reads an answer.

httptools collects a header for as long as it comes; a caller that reads nothing is waited for without end.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES: Final = 64 * 1024
"""Of the request's line and headers, beside what one read from the connection brings (256 KiB)."""

HEAD_SECONDS: Final = 30.0
"""That a head may take, and what is left of a body that nobody wants."""

_PROGRESS_BYTES: Final = 64 * 1024
"""That a caller reads meanwhile, where it reads at all."""

_TOO_LARGE: Final = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class BoundedProtocol(HttpToolsProtocol):
    """A connection. `send_seconds` may pass in which its caller reads nothing of what waits for it."""

    send_seconds = 60.0

    def connection_made(self, transport: Any) -> None:
        """Wait for the first request."""
        super().connection_made(transport)
        self._in_head = False
        self._head_bytes = 0
        self._reading: asyncio.TimerHandle | None = None
        self._writing: asyncio.TimerHandle | None = None
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        for timer in (self._reading, self._writing):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what has come, unless it is more of a head than is taken."""
        was_in_head = self._in_head
        super().data_received(data)
        if was_in_head and self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES and not self.transport.is_closing():
                self.transport.write(_TOO_LARGE)
                self.transport.close()

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._in_head, self._head_bytes = True, 0
        self._expect()

    def on_headers_complete(self) -> None:
        """A head has arrived; for the body the application waits."""
        self._in_head = False
        self._arrived()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """A request has arrived."""
        self._arrived()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """What is still to come of the request is not waited for long, nor is somebody who reads the answer."""
        super().on_response_complete()
        if self.cycle.more_body and not self.pipeline:
            self._expect()
        if waiting := self.transport.get_write_buffer_size():
            self._watch(waiting)

    def pause_writing(self) -> None:
        """Nobody reads as fast as is written: watch whether anybody reads."""
        super().pause_writing()
        self._watch(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """Somebody has read."""
        super().resume_writing()
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None

    def _expect(self) -> None:
        self._arrived()
        self._reading = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def _arrived(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def _give_up(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()

    def _watch(self, waiting: int) -> None:
        if self._writing is not None:
            self._writing.cancel()
        self._writing = self.loop.call_later(self.send_seconds, self._look, waiting)

    def _look(self, before: int) -> None:
        waiting = self.transport.get_write_buffer_size()
        if before - waiting < min(_PROGRESS_BYTES, before):
            self.transport.abort()
        elif waiting:
            self._watch(waiting)


def protocol_with(send_seconds: float) -> type[BoundedProtocol]:
    """The protocol with this time for answers that nobody reads."""
    return type("BoundedProtocol", (BoundedProtocol,), {"send_seconds": send_seconds})
