"""HTTP/1.1 with limits that uvicorn lacks: bytes and time of a request's headers, and time without a read of an answer.

httptools collects a header for as long as it comes; a client that reads nothing is waited for without end.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEADER_BYTES: Final = 64 * 1024
"""Of the request line and the headers, beside what one read from the connection brings (256 KiB)."""

HEADER_TIMEOUT: Final = 30.0
"""Seconds that headers may take, and what is left of a body that is not read."""

_PROGRESS_BYTES: Final = 64 * 1024
"""That a client reads within `send_timeout`, where it reads at all."""

_HEADERS_TOO_LARGE: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
)


class BoundedProtocol(HttpToolsProtocol):
    """A connection. For `send_timeout` seconds its client may read nothing of what waits for it."""

    send_timeout = 60.0

    def connection_made(self, transport: Any) -> None:
        """Wait for the first request."""
        super().connection_made(transport)
        self._in_headers = False
        self._header_bytes = 0
        self._header_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._start_header_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timers."""
        for timer in (self._header_timer, self._write_timer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what has come, unless the headers are longer than is taken."""
        was_in_headers = self._in_headers
        super().data_received(data)
        if was_in_headers and self._in_headers:
            self._header_bytes += len(data)
            if self._header_bytes > MAX_HEADER_BYTES and not self.transport.is_closing():
                self.transport.write(_HEADERS_TOO_LARGE)
                self.transport.close()

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._in_headers, self._header_bytes = True, 0
        self._start_header_timer()

    def on_headers_complete(self) -> None:
        """The headers have arrived; the application waits for the body."""
        self._in_headers = False
        self._stop_header_timer()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """A request has arrived."""
        self._stop_header_timer()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Wait a limited time for what is still to come of the request, and for the answer to be read."""
        super().on_response_complete()
        if self.cycle.more_body and not self.pipeline:
            self._start_header_timer()
        if waiting := self.transport.get_write_buffer_size():
            self._start_write_timer(waiting)

    def pause_writing(self) -> None:
        """The client reads more slowly than is written: check that it reads at all."""
        super().pause_writing()
        self._start_write_timer(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """The client has read."""
        super().resume_writing()
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def _start_header_timer(self) -> None:
        self._stop_header_timer()
        self._header_timer = self.loop.call_later(HEADER_TIMEOUT, self._close)

    def _stop_header_timer(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _close(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()

    def _start_write_timer(self, waiting: int) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
        self._write_timer = self.loop.call_later(self.send_timeout, self._check_progress, waiting)

    def _check_progress(self, before: int) -> None:
        waiting = self.transport.get_write_buffer_size()
        if before - waiting < min(_PROGRESS_BYTES, before):
            self.transport.abort()
        elif waiting:
            self._start_write_timer(waiting)


def protocol_class(send_timeout: float) -> type[BoundedProtocol]:
    """The protocol with this time for answers that are not read."""
    return type("BoundedProtocol", (BoundedProtocol,), {"send_timeout": send_timeout})
