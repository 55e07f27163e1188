"""The engine's end: hands out text as it is generated, is told what to end, says whether it can take requests."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from ocrvl.control_channel.messages import (
    MAX_LINE_BYTES,
    Availability,
    AvailabilityChanged,
    Cancel,
    Cancelled,
    Hello,
    Message,
    decode_message,
    encode_message,
)

_MAX_UNREAD_BYTES: Final = 64 * 1024 * 1024
"""What may wait for a client that does not read; then it is cut off, and its streams fail there."""


class ControlServer:
    """Listens at `path`. All of it belongs to one event loop, but for `set_availability`, which any thread may call.

    `on_cancel` ends the requests of a token and says how many they were.
    """

    def __init__(self, path: Path, on_cancel: Callable[[str], int]) -> None:
        self._path = path
        self._on_cancel = on_cancel
        self._clients: dict[str, asyncio.StreamWriter] = {}
        self._availability = self._wanted = Availability.DOWN
        self._setting = threading.Lock()

    async def start(self) -> None:
        """Begin to listen."""
        self._loop = asyncio.get_running_loop()
        self._path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._talk, self._path, limit=MAX_LINE_BYTES)

    async def stop(self) -> None:
        """End every connection and remove the socket."""
        self._server.close()
        for writer in self._clients.values():
            writer.close()
        self._path.unlink(missing_ok=True)

    def set_availability(self, availability: Availability) -> None:
        """Tell every client, if it is another than before; from any thread."""
        # said with every request that comes in, and the loop, where every answer passes, is not woken for nothing
        with self._setting:
            if availability is not self._wanted:
                self._wanted = availability
                self._loop.call_soon_threadsafe(self._announce, availability)

    def knows(self, client: str) -> bool:
        """Whether a client of this name is connected."""
        return client in self._clients

    def send(self, client: str, message: Message) -> None:
        """Send to one client; to one that has gone, nothing."""
        if writer := self._clients.get(client):
            self._write(writer, message)

    def _announce(self, availability: Availability) -> None:
        self._availability = availability
        for writer in list(self._clients.values()):
            self._write(writer, AvailabilityChanged(availability))

    def _write(self, writer: asyncio.StreamWriter, message: Message) -> None:
        if writer.transport.get_write_buffer_size() > _MAX_UNREAD_BYTES:
            writer.transport.abort()
        if not writer.is_closing():
            writer.write(encode_message(message))

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = ""
        try:
            # a client that goes away, or says what it should not, loses its connection and nothing else
            with suppress(ValueError, ConnectionError):
                while line := await reader.readline():
                    message = decode_message(line)
                    if isinstance(message, Hello):
                        client = message.client
                        self._clients[client] = writer
                        self._write(writer, AvailabilityChanged(self._availability))
                    elif isinstance(message, Cancel):
                        self._write(writer, Cancelled(message.number, self._on_cancel(message.token)))
        finally:
            # the client may have come back meanwhile
            if self._clients.get(client) is writer:
                del self._clients[client]
            writer.close()
