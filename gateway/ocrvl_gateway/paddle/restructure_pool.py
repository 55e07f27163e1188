"""Workers for `/restructure-pages`, one for each request: the gateway's end of `fork_server`."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
from contextlib import suppress
from typing import Any, Final

from ocrvl_gateway.errors import BadRequest, NotInstalled, Overloaded
from ocrvl_gateway.paddle.worker_answer import decode_answer
from ocrvl_gateway.problems import Problem

MAX_WORKERS: Final = 2
"""Each may take `fork_server.MEMORY_BYTES`; other requests wait."""

_START_TIMEOUT: Final = 300.0
_MAX_ANSWER_BYTES: Final = 2**29
_CHUNK_BYTES: Final = 2**20
_ONE_THREAD: Final = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""A process that forks has no threads, since they would be missing in the other."""


class RestructurePool:
    """A pool of workers with PaddleX, started by the first request. `timeout` is in seconds, of a request.

    `module` is the program that forks them, `fork_server` unless set.
    """

    def __init__(self, timeout: float, *, module: str = "ocrvl_gateway.paddle.fork_server") -> None:
        self._timeout = timeout
        self._module = module
        self._slots = asyncio.Semaphore(MAX_WORKERS)
        self._starting: asyncio.Task[socket.socket] | None = None
        self._server: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._count = 0

    async def run(self, body: bytes, request_id: str) -> bytes | Problem:
        """What `restructure_worker.answer` makes of a body. Cancelled, it kills the worker. Raises `Refusal`."""
        try:
            async with asyncio.timeout(self._timeout):
                await self._slots.acquire()
        except TimeoutError:
            raise Overloaded(f"{MAX_WORKERS} requests of this kind are running", retry_after=self._timeout) from None
        try:
            control = await self._connect()
            async with asyncio.timeout(self._timeout):
                return await self._exchange(control, body, request_id)
        except TimeoutError:
            raise BadRequest(f"pages: they take more than {self._timeout:g} s, send fewer at a time") from None
        finally:
            self._slots.release()

    async def close(self) -> None:
        """Kill all workers. Another request would start them again."""
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
        # the first request may be cancelled while others wait for the same start
        return await asyncio.shield(self._starting)

    async def _start(self) -> socket.socket:
        self._control = None
        control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._server = _start_server(self._module, theirs.fileno())
        theirs.close()
        control.setblocking(False)
        try:
            async with asyncio.timeout(_START_TIMEOUT):
                status = json.loads(await asyncio.get_running_loop().sock_recv(control, 4096) or b"{}")
        except BaseException:
            control.close()
            self._server.kill()
            raise
        if "missing" in status:
            control.close()
            raise NotInstalled(f"{status['missing']} is not installed here; install ocrvl with its extra 'gateway'")
        self._control = control
        return control

    async def _exchange(self, control: socket.socket, body: bytes, request_id: str) -> bytes | Problem:
        self._count += 1
        number = self._count
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                _send(control, {"number": number, "request_id": request_id, "timeout": self._timeout}, theirs.fileno())
            ours.setblocking(False)
            try:
                return await _exchange_bytes(ours, body)
            finally:
                with suppress(OSError):
                    _send(control, {"number": number, "kill": True})


def _start_server(module: str, control: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - this interpreter
        [sys.executable, "-m", module, str(control)],
        stdin=subprocess.DEVNULL,
        pass_fds=[control],
        env={**os.environ, **_ONE_THREAD},
    )


async def _exchange_bytes(connection: socket.socket, body: bytes) -> bytes | Problem:
    loop = asyncio.get_running_loop()
    answer = bytearray()
    try:
        await loop.sock_sendall(connection, len(body).to_bytes(8, "big"))
        await loop.sock_sendall(connection, body)
        while part := await loop.sock_recv(connection, _CHUNK_BYTES):
            answer += part
            if len(answer) > _MAX_ANSWER_BYTES:
                raise BadRequest(f"pages: more than {_MAX_ANSWER_BYTES} bytes would be answered, send fewer at a time")
    except OSError:
        pass  # the process has ended: that shows in what it answered
    if not answer:
        raise BadRequest("pages: they take too much memory or time, send fewer at a time")
    return decode_answer(bytes(answer))


def _send(control: socket.socket, message: dict[str, Any], *connections: int) -> None:
    socket.send_fds(control, [json.dumps(message).encode()], connections)
