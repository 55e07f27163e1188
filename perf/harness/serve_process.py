"""`ocrvl serve` as a child process, as an operator runs it, and the processes below it."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import TracebackType

import psutil

from ocrvl.address import split_address
from ocrvl.launcher.watch import parse_instance
from ocrvl_client.metrics import HttpFetch, parse_samples, values_by_replica
from ocrvl_client.probe import ProbeResult, ProbeSettings, probe_server

START_SECONDS = 600.0
_STOP_SECONDS = 60.0
_READY = re.compile(r"^ready: gRPC (\S+), HTTP (\S+), metrics (\S+)/metrics$", re.MULTILINE)


@dataclass(frozen=True)
class Endpoints:
    """Host and port of each endpoint; a server that recovers keeps them."""

    grpc: str
    http: str
    metrics: str


class Role(StrEnum):
    """What a process of a server is there for."""

    SERVE = "ocrvl serve"
    TRITON = "tritonserver"
    STUB = "stub"
    ENGINE = "engine"
    HELPER = "helper"


@dataclass(frozen=True)
class Member:
    """A process of a server; `name` says which one it is: a model's instance, for example."""

    role: Role
    name: str
    process: psutil.Process


class ServeProcess:
    """Use in a `with` block: entering starts the command and waits until the server is ready, leaving stops it.

    `folder` takes what it prints (`serve.out`) and the server's log (`serve.log`). `prefix` are words before the
    command, of a program that becomes it, such as `env`. Raises `RuntimeError` with what was printed where the server
    does not start.
    """

    def __init__(self, folder: Path, arguments: tuple[str, ...] = (), prefix: tuple[str, ...] = ()) -> None:
        self._printed = folder / "serve.out"
        ports = ("--http-port", "0", "--grpc-port", "0", "--metrics-port", "0")
        self._command = [
            *prefix,
            str(Path(sys.executable).parent / "ocrvl"),
            *("serve", *ports, "--log-file", str(folder / "serve.log"), *arguments),
        ]

    def __enter__(self) -> ServeProcess:
        with self._printed.open("wb") as printed:
            self._process = subprocess.Popen(  # noqa: S603 - the command of this project
                self._command, stdin=subprocess.DEVNULL, stdout=printed, stderr=printed
            )
        try:
            self.endpoints = self._wait_until_ready()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    @property
    def printed(self) -> str:
        """What the command has printed so far."""
        return self._printed.read_text("utf-8", "replace")

    @property
    def is_running(self) -> bool:
        """Whether the command still runs; it ends by itself when it gives up."""
        return self._process.poll() is None

    def members(self) -> list[Member]:
        """The command's own process and every one below it."""
        found = []
        try:
            root = psutil.Process(self._process.pid)
            processes = [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []
        for process in processes:
            try:
                role, name = classify(process.name(), process.cmdline())
            except psutil.Error:
                continue
            found.append(Member(Role.SERVE, Role.SERVE, process) if process == root else Member(role, name, process))
        return found

    def probe(self, timeout: float = 5.0) -> ProbeResult:
        """What `ocrvl probe` says: whether requests can be taken now."""
        settings = ProbeSettings(timeout=timeout)
        return probe_server(settings, _fetch(self.endpoints.http), _fetch(self.endpoints.metrics))

    def images_in_flight(self) -> float:
        """Images that the engines have taken and not yet answered, as the metrics have it."""
        samples = list(parse_samples(_fetch(self.endpoints.metrics)("/metrics", 5.0).text))
        return sum(values_by_replica(samples, "engine_images_in_flight").values())

    def _wait_until_ready(self) -> Endpoints:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.is_running:
            if match := _READY.search(self.printed):
                return Endpoints(*match.groups())
            time.sleep(0.2)
        raise RuntimeError(f"the server did not start:\n{self.printed}")

    def _stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            # what is below it ends with its parent
            self._process.kill()
            self._process.wait()


def classify(name: str, arguments: list[str]) -> tuple[Role, str]:
    """What the process with this name and command line is, below `ocrvl serve`.

    >>> classify("VLLM::EngineCore", ["VLLM::EngineCore", ""])
    (<Role.ENGINE: 'engine'>, 'EngineCore')
    >>> classify("python3", ["python3", "-c", "from multiprocessing.resource_tracker import main;main(35)"])
    (<Role.HELPER: 'helper'>, 'resource_tracker')
    """
    if instance := parse_instance(arguments):
        return Role.STUB, instance
    if title := re.match(r"VLLM::(\w+)", arguments[0] if arguments else name):
        return Role.ENGINE, title[1]
    if name == Role.TRITON:
        return Role.TRITON, name
    return Role.HELPER, "resource_tracker" if any("resource_tracker" in word for word in arguments) else name


def _fetch(url: str) -> HttpFetch:
    return HttpFetch(*split_address(url))
