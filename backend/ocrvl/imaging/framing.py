"""Messages between a model and the process that decodes for it: JSON, and bytes behind it."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Callable
from typing import Any, Final

_LENGTHS: Final = struct.Struct(">IQ")
"""Bytes of the JSON, and of what comes behind it."""

_MOST_BYTES: Final = 2**31

Wait = Callable[[], None]
"""Called on each timeout of the socket; raises to end the wait."""


def send(
    connection: socket.socket, message: object, payload: bytes | memoryview = b"", wait: Wait | None = None
) -> None:
    """Send a message. Raises `OSError` where the other end has gone, and what `wait` raises."""
    head = json.dumps(message).encode()
    for part in (_LENGTHS.pack(len(head), len(payload)) + head, payload):
        view = memoryview(part)
        while view:
            try:
                view = view[connection.send(view) :]
            except TimeoutError:
                if wait is None:
                    raise
                wait()


def receive(connection: socket.socket, wait: Wait | None = None) -> tuple[Any, bytearray]:
    """The next message. Raises `EOFError` where the other end has gone or sends no message, and what `wait` raises."""
    sizes = bytearray(_LENGTHS.size)
    _fill(connection, sizes, wait)
    head_bytes, payload_bytes = _LENGTHS.unpack(sizes)
    if max(head_bytes, payload_bytes) > _MOST_BYTES:
        raise EOFError
    head, payload = bytearray(head_bytes), bytearray(payload_bytes)
    _fill(connection, head, wait)
    _fill(connection, payload, wait)
    return json.loads(head), payload


def _fill(connection: socket.socket, buffer: bytearray, wait: Wait | None) -> None:
    view = memoryview(buffer)
    while view:
        try:
            count = connection.recv_into(view)
        except TimeoutError:
            if wait is None:
                raise
            wait()
            continue
        if not count:
            raise EOFError
        view = view[count:]
