"""A Triton server as a child process: its start, its end, and the removal of all that it leaves."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import TracebackType

from ocrvl.launcher.exposure import Endpoint, closed_endpoints, restrict, shares_key
from ocrvl.launcher.extras import installed_models
from ocrvl.launcher.leftovers import close_shared_memory, own_folder, region_prefix
from ocrvl.launcher.limits import http_limit_arguments
from ocrvl.launcher.locate import find_triton
from ocrvl.launcher.log import LoadingLog
from ocrvl.launcher.mps import share_gpus
from ocrvl.launcher.ports import bind_to_free_port
from ocrvl.launcher.process_group import end_group, kill_group
from ocrvl.launcher.runtime import build_environment, keep_less_freed_memory, prepare_backends
from ocrvl.local_keys import remove_key, write_key

_PR_SET_PDEATHSIG = 1
_KILL_AFTER_EXIT_TIMEOUT = 10.0
_POLL_SECONDS = 0.1
_GROUP_END_SECONDS = 30.0
"""Killed processes are gone at once, but for those whose memory on a GPU the driver still has to free."""

_CRASH_SECONDS = 3.0
"""What Triton may take to write down where it crashed. It does so with whatever locks it held, and may hang over it."""

_STUB_SECONDS = 120
"""How long a Python model's process may take to come up: all start at once, and Triton's 30 are short on busy machines.
"""

_TRACE_HEADERS = "(?i)^(traceparent|tracestate)$"
"""W3C Trace Context, which models find among the parameters of a request."""


class ServerFailed(Exception):
    """The server did not start, or ended by itself; the message gives the causes, a line each."""


@dataclass(frozen=True)
class ServerOptions:
    """Where the server listens and what it serves. A port of 0 is replaced by a free one.

    `models` are the ones to load, all of the repository if there are none. `opened` are endpoints that are closed
    otherwise. `extra_arguments` are Triton's own.
    """

    model_repository: Path
    host: str = "127.0.0.1"
    http_port: int = 8000
    grpc_port: int = 8001
    metrics_port: int = 8002
    exit_timeout: int = 30
    models: tuple[str, ...] = ()
    opened: tuple[Endpoint, ...] = ()
    extra_arguments: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)


class TritonServer:
    """Use in a `with` block: entering starts the process, leaving stops it and everything it started.

    `on_line` is handed every line of the server's output. `options` are then those given, with the ports chosen.
    """

    def __init__(self, options: ServerOptions, on_line: Callable[[str], None] = lambda _line: None) -> None:
        try:
            models = installed_models(options.model_repository, options.models, on_line)
        except ValueError as error:
            raise ServerFailed(str(error)) from None
        # held together until all are chosen, or two of them could be the same
        with contextlib.ExitStack() as held:
            self.options = replace(
                options,
                models=models,
                http_port=_choose_port(options.host, options.http_port, "--http-port", held),
                grpc_port=_choose_port(options.host, options.grpc_port, "--grpc-port", held),
                metrics_port=_choose_port(options.host, options.metrics_port, "--metrics-port", held),
            )
        self.log = LoadingLog()
        self._on_line = on_line
        self._stopped = False
        self._cleanup = contextlib.ExitStack()

    def __enter__(self) -> TritonServer:
        triton = find_triton()
        folder = self._cleanup.enter_context(own_folder())
        self._shm_prefix = region_prefix(folder)
        backends = prepare_backends(triton, folder / "backends")
        environment = build_environment(triton, {**os.environ, **self.options.environment})
        if triton.stub:
            environment = keep_less_freed_memory(backends / "python" / triton.stub.name, environment)
        http_limit = http_limit_arguments(
            triton.binary, environment, self.options.model_repository, self.options.models
        )
        shared = share_gpus(
            self.options.model_repository, self.options.models, folder, environment, self._on_line, _end_with_parent
        )
        environment |= self._cleanup.enter_context(shared)
        command = build_command(
            self.options, triton.binary, backends, self._shm_prefix, http_limit, self._write_shared_memory_key()
        )
        self._process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            # a group of its own: a terminal's Ctrl-C reaches us alone, and what is left at the end can be found
            start_new_session=True,
            umask=0o077,
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
    def http_port(self) -> int:
        """The port of the HTTP endpoint."""
        return self.options.http_port

    @property
    def grpc_port(self) -> int:
        """The port of the gRPC endpoint."""
        return self.options.grpc_port

    @property
    def metrics_port(self) -> int:
        """The port of the metrics."""
        return self.options.metrics_port

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
        while True:
            close_shared_memory(self._shm_prefix)
            if self._is_ready():
                return
            if self._process.poll() is not None:
                self._reader.join(timeout=5)
                raise ServerFailed("\n".join(self.log.causes()))
            on_wait(self.log.waiting_for, time.monotonic() - started)
            time.sleep(_POLL_SECONDS)

    def describe_end(self) -> str | None:
        """How the server ended by itself, and why as far as its log says; None while it runs."""
        status = self._process.poll()
        name = f"the Triton server (process {self.pid})"
        if status is None:
            number = self.log.crashed_before(_CRASH_SECONDS)
            return f"{name} crashed by signal {number} ({signal.strsignal(number)}) and did not end" if number else None
        if status < 0:
            return f"{name} was ended by signal {-status} ({signal.strsignal(-status)})"
        # not for long: what it started may still hold the other end of the pipe
        self._reader.join(timeout=1)
        return f"{name} ended with status {status}: {'; '.join(self.log.causes())}"

    def request_stop(self) -> None:
        """Have the server finish what is in flight and end; returns at once."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the server and everything it started at once; requests in flight are lost."""
        kill_group(self._process.pid)

    def stop(self, within: float | None = None) -> None:
        """Let requests in flight finish, then end the server and everything it started; a second call has no effect.

        `within` bounds the wait in seconds, the exit timeout if None.
        """
        if self._stopped:
            return
        self._stopped = True
        self.request_stop()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(self.options.exit_timeout + _KILL_AFTER_EXIT_TIMEOUT if within is None else within)
        # also where it ended by itself: a killed server leaves its stubs and engines running, and a server that is
        # started next needs their memory and ports
        self.kill()
        self._process.wait()
        end_group(self._process.pid, _GROUP_END_SECONDS)
        self._reader.join(timeout=5)
        self._cleanup.close()

    def _write_shared_memory_key(self) -> str | None:
        """The key by which callers of this user may register memory, written to a file that they find by the port."""
        if not shares_key(self.options.host, self.options.opened):
            return None
        try:
            key = write_key(self.http_port, self.grpc_port)
        except OSError:
            # another user's folder has that name: then shared memory stays restricted
            return None
        self._cleanup.callback(remove_key, key, self.http_port, self.grpc_port)
        return key

    def _read_output(self) -> None:
        assert self._process.stdout is not None
        follow_output(self._process.stdout, self.log, self._on_line)

    def _is_ready(self) -> bool:
        connection = HTTPConnection(self.options.host, self.http_port, timeout=2)
        with contextlib.closing(connection):
            try:
                connection.request("GET", "/v2/health/ready")
                return connection.getresponse().status == 200
            except (OSError, HTTPException):
                return False


def follow_output(lines: Iterable[str], log: LoadingLog, on_line: Callable[[str], None]) -> None:
    """Hand on every line until the last; one that `on_line` cannot write, as on a full disk, is lost.

    A server whose output nobody reads stops in the middle of a line, and with it every request.
    """
    for line in lines:
        text = line.rstrip("\n")
        log.add(text)
        with contextlib.suppress(OSError):
            on_line(text)


def build_command(
    options: ServerOptions,
    binary: Path,
    backends: Path,
    shm_prefix: str,
    more: Sequence[str] = (),
    shared_memory_key: str | None = None,
) -> list[str]:
    """The command line that starts Triton.

    `shm_prefix` begins the names of what it puts into shared memory, so that what a killed stub leaves can be removed;
    `more` are arguments that not every Triton knows, `shared_memory_key` is what opens shared memory. The operator's
    own arguments come last, and Triton takes the last of two.
    """
    return [
        str(binary),
        f"--model-repository={options.model_repository.resolve()}",
        f"--backend-directory={backends}",
        f"--backend-config=python,shm-region-prefix-name={shm_prefix}",
        f"--backend-config=python,stub-timeout-seconds={_STUB_SECONDS}",
        # or each Python model is imported once before, in a process of its own, to ask whether it has more to say
        "--disable-auto-complete-config",
        f"--http-header-forward-pattern={_TRACE_HEADERS}",
        f"--grpc-header-forward-pattern={_TRACE_HEADERS}",
        f"--http-address={options.host}",
        f"--http-port={options.http_port}",
        f"--grpc-address={options.host}",
        f"--grpc-port={options.grpc_port}",
        f"--metrics-address={options.host}",
        f"--metrics-port={options.metrics_port}",
        f"--exit-timeout-secs={options.exit_timeout}",
        *restrict(closed_endpoints(options.opened), shared_memory_key),
        *(["--model-control-mode=explicit"] if options.models else []),
        *(f"--load-model={model}" for model in options.models),
        *more,
        *options.extra_arguments,
    ]


def _choose_port(host: str, port: int, option: str, held: contextlib.ExitStack) -> int:
    """The port itself if it is free, a free one for 0; kept until `held` lets go.

    Raises `ServerFailed` naming the option.
    """
    probe = held.enter_context(socket.socket())
    try:
        if not port:
            return bind_to_free_port(probe, host)
        # a port of a server that has just ended may be used again
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
    except OSError as error:
        raise ServerFailed(
            f"port {port} on {host} cannot be used ({error.strerror}): end what listens there, "
            f"or choose another with {option}"
        ) from None
    return port


def _end_with_parent() -> None:
    """In the child: get a SIGTERM when our process dies, even by SIGKILL."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
