"""The program that makes processes with PaddleX in them: `python -m ocrvl_gateway.paddle.fork_server FD`.

PaddleX takes seconds to import, so it is imported once, and each request gets a process that is forked from this one:
with limits of its own, without connections to anywhere, and ended by a word. Messages are JSON; nothing is unpickled.
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
"""Of addresses that a request may take beyond what PaddleX has: ten times its longest body."""

_FILE_BYTES: Final = 2**28
_REAP_SECONDS: Final = 1.0
_REFUSED_EVENTS: Final = (
    *("socket.__new__", "socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo", "socket.gethostby"),
    *("subprocess.", "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "urllib.Request", "webbrowser."),
)


def close_the_network() -> None:
    """From here on this process opens no socket, looks up no name and starts no program; what tries to is told so."""

    def refuse(event: str, _arguments: Any) -> None:
        if event.startswith(_REFUSED_EVENTS):
            raise PermissionError(f"{event} is not for this process")

    sys.addaudithook(refuse)


class ForkServer:
    """Starts and ends processes as the gateway says. Its messages: `start`, with a connection, and `end`, by number."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._running: dict[int, tuple[int, str]] = {}

    def serve(self) -> None:
        """Until the gateway is gone; then nothing that it asked for goes on."""
        try:
            while True:
                self._reap()
                if not select.select([self._control], [], [], _REAP_SECONDS)[0]:
                    continue
                data, connections, _, _ = socket.recv_fds(self._control, 4096, 1)
                if not data:
                    return
                self._obey(json.loads(data), connections)
        finally:
            for pid, _ in self._running.values():
                os.kill(pid, signal.SIGKILL)
            self._reap(wait=True)

    def _obey(self, message: dict[str, Any], connections: list[int]) -> None:
        number = message["number"]
        if "end" in message:
            if number in self._running:
                os.kill(self._running[number][0], signal.SIGKILL)
            return
        (connection,) = connections
        folder = tempfile.mkdtemp(prefix="ocrvl-restructure-")
        pid = os.fork()
        if not pid:
            self._control.close()
            _work(connection, folder, message["request_id"], message["seconds"])
        os.close(connection)
        self._running[number] = (pid, folder)

    def _reap(self, *, wait: bool = False) -> None:
        for number, (pid, folder) in list(self._running.items()):
            if os.waitpid(pid, 0 if wait else os.WNOHANG)[0]:
                del self._running[number]
                shutil.rmtree(folder, ignore_errors=True)


def _work(connection: int, folder: str, request_id: str, seconds: float) -> None:
    """Answer the one request of a connection, and end."""
    status = 1
    try:
        from ocrvl_gateway.paddle.restructuring import answer

        tempfile.tempdir = folder
        _limit(seconds)
        close_the_network()
        with open(connection, "r+b", buffering=0) as stream:
            body = _read(stream, int.from_bytes(_read(stream, 8), "big"))
            _write(stream, answer(body, request_id))
        status = 0
    finally:
        os._exit(status)


def _limit(seconds: float) -> None:
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
    memory = pages * resource.getpagesize() + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    processor = int(seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (processor, processor))
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
    """Serve at the file descriptor that the one argument names: first a line that says whether PaddleX is there."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the gateway's: this ends with it
    with suppress(OSError), socket.socket(fileno=int(sys.argv[1])) as control:
        try:
            import ocrvl_gateway.paddle.restructuring  # noqa: F401 - for the processes that are forked
        except ImportError as error:
            control.send(json.dumps({"missing": error.name or str(error)}).encode())
            return
        gc.freeze()
        control.send(b"{}")
        ForkServer(control).serve()


if __name__ == "__main__":
    main()
