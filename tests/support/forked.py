"""A fork server whose workers do what a test says: the body is one of `ACTIONS` and its argument."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import types
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests

from ocrvl_gateway.paddle import fork_server
from ocrvl_gateway.paddle.worker_answer import encode_result


def _forever() -> None:
    while True:
        time.sleep(1)


def _leave_files() -> None:
    import tempfile

    Path(tempfile.gettempdir(), "left").write_text("left", "utf-8")


def _unbounded() -> None:
    bytearray(4 * fork_server.MEMORY_BYTES)


ACTIONS: dict[str, Callable[[str], Any]] = {
    "connect": lambda port: socket.create_connection(("127.0.0.1", int(port))),
    "requests": lambda port: requests.get(f"http://127.0.0.1:{port}", timeout=5),
    "urllib": lambda port: urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=5),
    "look-up": lambda _: socket.getaddrinfo("localhost", 80),
    "program": lambda _: subprocess.run(["true"], check=True),
    "shell": lambda _: os.system("true"),
    "memory": lambda _: _unbounded(),
    "forever": lambda _: _forever(),
    "end": lambda _: os.kill(os.getpid(), signal.SIGKILL),
    "file": lambda _: _leave_files(),
    "pid": lambda _: os.getpid(),
}


def answer(body: bytes, _request_id: str) -> bytes:
    """The result of an action; one that stays writes its process id first."""
    name, _, argument = body.decode().partition(" ")
    if name == "forever":
        Path(argument).write_text(str(os.getpid()), "ascii")
    try:
        return encode_result(json.dumps({"done": ACTIONS[name](argument)}, default=str).encode())
    except BaseException as error:
        return encode_result(json.dumps({"error": type(error).__name__, "message": str(error)}).encode())


if __name__ == "__main__":
    stub: Any = types.ModuleType("ocrvl_gateway.paddle.restructure_worker")
    stub.answer = answer
    sys.modules[stub.__name__] = stub
    fork_server.main()
