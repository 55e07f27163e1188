"""A fork server with PaddleX imported: `python -m ocrvl_gateway.paddle.fork_server FD`.

PaddleX takes seconds to import, so it is imported once, and each request gets a process that is forked from this one:
with limits of its own and without connections to anywhere, which a message ends. Messages are JSON, not pickles.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import select
import shutil
import signal
import socket
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

MEMORY_BYTES: Final = 2**30
"""Of address space that a request may take beyond what PaddleX has: ten times its longest body."""

_FILE_BYTES: Final = 2**28
_REAP_SECONDS: Final = 1.0
_REFUSED_EVENTS: Final = (
    *("socket.__new__", "socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo", "socket.gethostby"),
    *("subprocess.", "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "urllib.Request", "webbrowser."),
)


def forbid_network_and_processes() -> None:
    """From here on a socket, a look-up of a name or the start of a program is a `PermissionError` in this process."""

    def refuse(event: str, _arguments: Any) -> None:
        if event.startswith(_REFUSED_EVENTS):
            raise PermissionError(f"{event} is not allowed in this process")

    sys.addaudithook(refuse)


class ForkServer:
    """Forks a worker for each message with a connection, and kills it when a message with `kill` has its number."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._workers: dict[int, tuple[int, str]] = {}

    def serve(self) -> None:
        """Serve until the gateway has gone; its workers are killed then."""
        try:
            while True:
                self._reap()
                if not select.select([self._control], [], [], _REAP_SECONDS)[0]:
                    continue
                data, connections, _, _ = socket.recv_fds(self._control, 4096, 1)
                if not data:
                    return
                self._handle(json.loads(data), connections)
        finally:
            for pid, _ in self._workers.values():
                os.kill(pid, signal.SIGKILL)
            self._reap(wait=True)

    def _handle(self, message: dict[str, Any], connections: list[int]) -> None:
        number = message["number"]
        if "kill" in message:
            if number in self._workers:
                os.kill(self._workers[number][0], signal.SIGKILL)
            return
        (connection,) = connections
        folder = tempfile.mkdtemp(prefix="ocrvl-restructure-")
        pid = os.fork()
        if not pid:
            self._control.close()
            _run_worker(connection, folder, message["request_id"], message["timeout"])
        os.close(connection)
        self._workers[number] = (pid, folder)

    def _reap(self, *, wait: bool = False) -> None:
        for number, (pid, folder) in list(self._workers.items()):
            if os.waitpid(pid, 0 if wait else os.WNOHANG)[0]:
                del self._workers[number]
                shutil.rmtree(folder, ignore_errors=True)


def _run_worker(connection: int, folder: str, request_id: str, timeout: float) -> None:
    """Answer the one request of a connection, and exit."""
    status = 1
    try:
        from ocrvl_gateway.paddle.restructure_worker import answer

        tempfile.tempdir = folder
        _set_limits(timeout)
        forbid_network_and_processes()
        with open(connection, "r+b", buffering=0) as stream:
            body = _read(stream, int.from_bytes(_read(stream, 8), "big"))
            _write(stream, answer(body, request_id))
        status = 0
    finally:
        os._exit(status)


def _set_limits(timeout: float) -> None:
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
    memory = pages * resource.getpagesize() + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    cpu_seconds = int(timeout) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_FILE_BYTES, _FILE_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _read(stream: Any, length: int) -> bytes:
    data = bytearray()
    while len(data) < length:
        part = stream.read(min(length - len(data), 2**20))
        if not part:
            raise EOFError("the gateway has gone")
        data += part
    return bytes(data)


def _write(stream: Any, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[stream.write(view) :]


def main() -> None:
    """Serve at the file descriptor of the one argument. The first message says whether PaddleX could be imported."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the gateway's: this ends with it
    with suppress(OSError), socket.socket(fileno=int(sys.argv[1])) as control:
        try:
            import ocrvl_gateway.paddle.restructure_worker  # noqa: F401 - for the processes that are forked
        except ImportError as error:
            control.send(json.dumps({"missing": error.name or str(error)}).encode())
            return
        gc.freeze()
        control.send(b"{}")
        ForkServer(control).serve()


if __name__ == "__main__":
    main()
