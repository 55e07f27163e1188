"""A Triton server as a child process: started, waited for, stopped, and nothing left behind."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from ocrvl.serving.locate import find_triton
from ocrvl.serving.log import LoadingLog
from ocrvl.serving.runtime import build_environment, prepare_backends

_PR_SET_PDEATHSIG = 1
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where POSIX shared memory is on Linux
_KILL_AFTER_EXIT_TIMEOUT = 10.0
_POLL_SECONDS = 0.1


class ServerFailed(Exception):
    """The server did not start, or ended by itself; the message gives the causes, a line each."""


@dataclass(frozen=True)
class ServerOptions:
    """Where the server listens and what it serves. A port of 0 is replaced by a free one."""

    model_repository: Path
    host: str = "127.0.0.1"
    http_port: int = 8000
    grpc_port: int = 8001
    metrics_port: int = 8002
    exit_timeout: int = 30
    extra_arguments: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)


class TritonServer:
    """Use in a `with` block: entering starts the process, leaving stops it and everything it started.

    `on_line` is handed every line of the server's output.
    """

    def __init__(self, options: ServerOptions, on_line: Callable[[str], None] = lambda _line: None) -> None:
        self.options = options
        self.http_port = _choose_port(options.host, options.http_port, "--http-port")
        self.grpc_port = _choose_port(options.host, options.grpc_port, "--grpc-port")
        self.metrics_port = _choose_port(options.host, options.metrics_port, "--metrics-port")
        self.log = LoadingLog()
        self._on_line = on_line
        self._cleanup = contextlib.ExitStack()

    def __enter__(self) -> TritonServer:
        triton = find_triton()
        folder = Path(self._cleanup.enter_context(tempfile.TemporaryDirectory(prefix="ocrvl-")))
        self._shm_prefix = f"{folder.name}-"
        command = self._command(triton.binary, prepare_backends(triton, folder / "backends"))
        self._process = subprocess.Popen(
            command,
            env=build_environment(triton, {**os.environ, **self.options.environment}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            # a group of its own: a terminal's Ctrl-C reaches us alone, and what is left at the end can be found
            start_new_session=True,
            preexec_fn=_end_with_parent,
        )
        self._reader = threading.Thread(target=self._read_output, name="triton-output", daemon=True)
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process id of `tritonserver`."""
        return self._process.pid

    @property
    def http_url(self) -> str:
        """Host and port of the HTTP endpoint."""
        return f"{self.options.host}:{self.http_port}"

    @property
    def grpc_url(self) -> str:
        """Host and port of the gRPC endpoint."""
        return f"{self.options.host}:{self.grpc_port}"

    def wait_until_ready(self, on_wait: Callable[[list[str], float], None] = lambda _models, _seconds: None) -> None:
        """Wait until every model is ready.

        `on_wait` is called several times a second with the models that are still loading and the seconds so far.
        Raises `ServerFailed` when the process ends instead.
        """
        started = time.monotonic()
        while not self._is_ready():
            if self._process.poll() is not None:
                self._reader.join(timeout=5)
                raise ServerFailed("\n".join(self.log.causes()))
            on_wait(self.log.waiting_for, time.monotonic() - started)
            time.sleep(_POLL_SECONDS)

    def wait(self) -> int:
        """Wait until the process ends; its exit status."""
        return self._process.wait()

    def request_stop(self) -> None:
        """Ask the server to finish what is in flight and end; returns at once."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the server and everything it started at once; requests in flight are lost."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def stop(self) -> None:
        """Let requests in flight finish, within the exit timeout, then end the server and everything it started."""
        self.request_stop()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(self.options.exit_timeout + _KILL_AFTER_EXIT_TIMEOUT)
        # also where it ended by itself: a killed server leaves its stubs and engines running
        self.kill()
        self._process.wait()
        self._reader.join(timeout=5)
        for region in _SHARED_MEMORY.glob(f"{self._shm_prefix}*"):
            region.unlink(missing_ok=True)
        self._cleanup.close()

    def _command(self, binary: Path, backends: Path) -> list[str]:
        options = self.options
        return [
            str(binary),
            f"--model-repository={options.model_repository.resolve()}",
            f"--backend-directory={backends}",
            # a name of its own, so that what a killed stub leaves in shared memory can be removed
            f"--backend-config=python,shm-region-prefix-name={self._shm_prefix}",
            f"--http-address={options.host}",
            f"--http-port={self.http_port}",
            f"--grpc-address={options.host}",
            f"--grpc-port={self.grpc_port}",
            f"--metrics-address={options.host}",
            f"--metrics-port={self.metrics_port}",
            f"--exit-timeout-secs={options.exit_timeout}",
            *options.extra_arguments,
        ]

    def _read_output(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.log.add(line.rstrip("\n"))
            self._on_line(line.rstrip("\n"))

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://{self.http_url}/v2/health/ready", timeout=2) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False


def _choose_port(host: str, port: int, option: str) -> int:
    """The port itself if it is free, a free one for 0. Raises `ServerFailed` naming the option."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ServerFailed(
                f"port {port} on {host} can not be used ({error.strerror}): end what listens there, "
                f"or choose another with {option}"
            ) from None
        chosen: int = probe.getsockname()[1]
        return chosen


def _end_with_parent() -> None:
    """In the child: be told to stop when our process dies, even by SIGKILL."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
