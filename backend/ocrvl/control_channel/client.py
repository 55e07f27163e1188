"""The client: one connection to every engine of this server, found again when one goes and another comes."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ocrvl.control_channel.address import find_sockets
from ocrvl.control_channel.messages import (
    MAX_LINE_BYTES,
    Cancel,
    Cancelled,
    Hello,
    Message,
    decode_message,
    encode_message,
)

_LOOK_SECONDS: Final = 0.2
_ANSWER_SECONDS: Final = 2.0
"""How long an engine may take to answer a cancel: its loop is never blocked for so long while it is well."""


@dataclass
class _Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    answers: dict[int, asyncio.Future[int]] = field(default_factory=dict)


class ControlClient:
    """Use from one event loop. `name` is what engines address its streams by.

    `on_message` gets every message with the replica it came from, `on_lost` every replica whose connection ended.
    """

    def __init__(
        self,
        folder: Path,
        on_message: Callable[[str, Message], None] = lambda _replica, _message: None,
        on_lost: Callable[[str], None] = lambda _replica: None,
    ) -> None:
        self.name = uuid.uuid4().hex
        self._folder = folder
        self._on_message = on_message
        self._on_lost = on_lost
        self._connections: dict[str, _Connection] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._numbers = itertools.count()

    async def start(self) -> None:
        """Connect to the engines that are there, and from now on to those that come."""
        await self._connect_to_new()
        self._spawn(self._look())

    async def stop(self) -> None:
        """End every connection."""
        for task in self._tasks:
            task.cancel()
        for connection in self._connections.values():
            connection.writer.close()

    async def cancel(self, token: str) -> int:
        """End the requests that carry this token, in every engine; how many they were."""
        answers = []
        for connection in self._connections.values():
            number = next(self._numbers)
            answer = asyncio.get_running_loop().create_future()
            connection.answers[number] = answer
            connection.writer.write(encode_message(Cancel(token, number)))
            answers.append(answer)
        if not answers:
            return 0
        done, late = await asyncio.wait(answers, timeout=_ANSWER_SECONDS)
        for answer in late:
            answer.cancel()
        return sum(answer.result() for answer in done)

    def _spawn(self, coroutine: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            await self._connect_to_new()

    async def _connect_to_new(self) -> None:
        for replica, path in find_sockets(self._folder).items():
            if replica not in self._connections:
                # a socket without a listener is what a killed engine leaves; its successor replaces it
                with suppress(OSError):
                    reader, writer = await asyncio.open_unix_connection(path, limit=MAX_LINE_BYTES)
                    self._connections[replica] = connection = _Connection(reader, writer)
                    writer.write(encode_message(Hello(self.name)))
                    self._spawn(self._listen(replica, connection))

    async def _listen(self, replica: str, connection: _Connection) -> None:
        with suppress(ValueError, ConnectionError):
            while line := await connection.reader.readline():
                message = decode_message(line)
                if isinstance(message, Cancelled):
                    answer = connection.answers.pop(message.number, None)
                    if answer and not answer.done():
                        answer.set_result(message.count)
                else:
                    self._on_message(replica, message)
        del self._connections[replica]
        connection.writer.close()
        for answer in connection.answers.values():
            if not answer.done():
                answer.set_result(0)
        self._on_lost(replica)
