"""The gateway's side of `fork_server`: a request's bytes to a process of its own, which ends with its caller."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from contextlib import suppress
from typing import Any, Final

from ocrvl_gateway.errors import BadRequest, Busy, NotInstalled, Problem

_AT_A_TIME: Final = 2
"""Processes, each of which may take `fork_server.MEMORY_BYTES`; other requests wait."""

_START_SECONDS: Final = 300.0
_ANSWER_BYTES: Final = 2**29
_CHUNK: Final = 2**20
_ONE_THREAD: Final = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""A process that forks has no threads, since they would be missing in the other."""


class Restructurer:
    """Makes processes with PaddleX in them from the first request on. `seconds` is what one may take.

    `module` is the program that makes them, `fork_server` unless set.
    """

    def __init__(self, seconds: float, *, module: str = "ocrvl_gateway.paddle.fork_server") -> None:
        self._seconds = seconds
        self._module = module
        self._places = asyncio.Semaphore(_AT_A_TIME)
        self._starting: asyncio.Task[socket.socket] | None = None
        self._server: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._count = 0

    async def ask(self, body: bytes, request_id: str) -> bytes | Problem:
        """What `restructuring.answer` makes of a body. Cancelled, it ends the process. Raises `Refusal`."""
        try:
            async with asyncio.timeout(self._seconds):
                await self._places.acquire()
        except TimeoutError:
            raise Busy(f"{_AT_A_TIME} requests of this kind are under way", retry_after=self._seconds) from None
        try:
            control = await self._connect()
            async with asyncio.timeout(self._seconds):
                return await self._exchange(control, body, request_id)
        except TimeoutError:
            raise BadRequest(f"pages: they take more than {self._seconds:g} s, send fewer at a time") from None
        finally:
            self._places.release()

    async def close(self) -> None:
        """End all processes. Another request would start them again."""
        if self._server is None:
            return
        if self._control is None:
            self._server.kill()
        else:
            self._control.close()
        await asyncio.to_thread(self._server.wait)

    async def _connect(self) -> socket.socket:
        if self._starting is None or (self._server is not None and self._server.poll() is not None):
            self._starting = asyncio.create_task(self._start())
        # whoever asked first may leave: others wait for it as well
        return await asyncio.shield(self._starting)

    async def _start(self) -> socket.socket:
        self._control = None
        control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._server = _launch(self._module, theirs.fileno())
        theirs.close()
        control.setblocking(False)
        try:
            async with asyncio.timeout(_START_SECONDS):
                said = json.loads(await asyncio.get_running_loop().sock_recv(control, 4096) or b"{}")
        except BaseException:
            control.close()
            self._server.kill()
            raise
        if "missing" in said:
            control.close()
            raise NotInstalled(f"{said['missing']} is not installed here; install ocrvl with its extra 'gateway'")
        self._control = control
        return control

    async def _exchange(self, control: socket.socket, body: bytes, request_id: str) -> bytes | Problem:
        self._count += 1
        number = self._count
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                _tell(control, {"number": number, "request_id": request_id, "seconds": self._seconds}, theirs.fileno())
            ours.setblocking(False)
            try:
                return await _talk(ours, body)
            finally:
                with suppress(OSError):
                    _tell(control, {"number": number, "end": True})


def _launch(module: str, control: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - this interpreter
        [sys.executable, "-m", module, str(control)],
        stdin=subprocess.DEVNULL,
        pass_fds=[control],
        env={**os.environ, **_ONE_THREAD},
    )


async def _talk(connection: socket.socket, body: bytes) -> bytes | Problem:
    loop = asyncio.get_running_loop()
    answer = bytearray()
    try:
        await loop.sock_sendall(connection, len(body).to_bytes(8, "big"))
        await loop.sock_sendall(connection, body)
        while part := await loop.sock_recv(connection, _CHUNK):
            answer += part
            if len(answer) > _ANSWER_BYTES:
                raise BadRequest(f"pages: more than {_ANSWER_BYTES} bytes would be answered, send fewer at a time")
    except OSError:
        pass  # the process has ended: that shows in what it answered
    if not answer:
        raise BadRequest("pages: they take too much memory or time, send fewer at a time")
    if answer[:1] == b"+":
        return bytes(memoryview(answer)[1:])
    return Problem.from_json(bytes(answer))


def _tell(control: socket.socket, message: dict[str, Any], *connections: int) -> None:
    socket.send_fds(control, [json.dumps(message).encode()], connections)
