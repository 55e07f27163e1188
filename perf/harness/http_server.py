"""Python programs that serve HTTP."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import psutil

from ocrvl.launcher.ports import find_free_port

_START_SECONDS: Final = 300.0


@contextlib.contextmanager
def run_http_server(
    command: Sequence[str], folder: Path, environment: Mapping[str, str]
) -> Iterator[tuple[psutil.Process, str]]:
    """Run a Python program that serves HTTP, with `--port`, and wait until its `/health` answers.

    Its process and address; its output goes to `folder/log`. Raises `RuntimeError` where it does not start.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port = find_free_port()
    with (folder / "log").open("wb") as log:
        child = subprocess.Popen(  # noqa: S603 - a program of this project, or vLLM
            [sys.executable, *command, f"--port={port}"],
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + _START_SECONDS
        while True:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/health", timeout=5) as answer:  # noqa: S310 - loopback
                if answer.status == 200:
                    break
            if child.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"did not start: {' '.join(command)}; see {folder / 'log'}")
            time.sleep(0.5)
        yield psutil.Process(child.pid), url
    finally:
        child.terminate()
        try:
            child.wait(60)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
