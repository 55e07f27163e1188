"""What `ocrvl serve` prints: the state of its server, and the server's log."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, Final

import typer
from rich.status import Status

from ocrvl_cli.terminal import Console

if TYPE_CHECKING:
    from ocrvl.launcher.server import TritonServer

_SLOWEST_MODELS: Final = 3
"""Of those that a recovery waited for."""


class StatusPrinter:
    """Prints what the supervisor reports of the server: a spinner on a terminal while it starts, and lines."""

    server: TritonServer

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status: Status | None = None
        self._has_hinted = False

    def __enter__(self) -> StatusPrinter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end_status()

    def waiting(self, models: list[str], seconds: float) -> None:
        """Models are still loading, or the endpoints are not open, so many seconds after the start."""
        from ocrvl.launcher.log import SLOW_START_SECONDS, slow_start_hint

        what = f"models: {', '.join(models)}" if models else "its endpoints"
        text = f"waiting for {what} ({seconds:.0f} s)"
        if self._status is None:
            self._status = self._console.status(text)
            self._status.start()
        self._status.update(text)
        if seconds > SLOW_START_SECONDS and not self._has_hinted:
            self._has_hinted = True
            self._console.print(slow_start_hint(models))

    def ready(self, recovery_seconds: float | None) -> None:
        """The server is ready, after a recovery that took so many seconds or, None, for the first time."""
        self._end_status()
        server = self.server
        metrics = f"{server.options.host}:{server.metrics_port}/metrics"
        again = "" if recovery_seconds is None else f" again after {recovery_seconds:.1f} s{self._slowest()}"
        self._console.print(f"ready{again}: gRPC {server.grpc_url}, HTTP {server.http_url}, metrics {metrics}")

    def _slowest(self) -> str:
        times = ", ".join(f"{model} {seconds:.1f} s" for model, seconds in self.server.log.slowest(_SLOWEST_MODELS))
        return f" (side by side: {times})" if times else ""

    def ended(self, seconds: float) -> None:
        """The rest of a broken server has ended after so many seconds."""
        self._console.print(f"what was left of it has ended after {seconds:.1f} s")

    def failed(self, failure: str) -> None:
        """Something of the server died or hangs."""
        self._end_status()
        self._console.print(f"failed: {failure}", style="yellow")

    def stopping(self) -> None:
        """The server was told to stop."""
        self._console.print("stopping: waiting for requests in flight")

    def _end_status(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None


@contextmanager
def open_log(console: Console, log_file: Path | None) -> Iterator[Callable[[str], None]]:
    """Where the server's log goes: into a file for a person at a terminal, else straight to standard error."""
    if log_file is None and not console.is_terminal:
        # not by the console, which ends the thread where nobody reads any more
        yield lambda line: print(line, file=sys.stderr)
        return
    path = log_file or Path(typer.get_app_dir("ocrvl")) / "serve.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    # nothing is kept back: on a full disk it would be written once more, and fail, when the file is closed
    with path.open("wb", buffering=0) as file:
        console.print(f"log: {path}")
        yield lambda line: _write(file, line)


def _write(file: BinaryIO, line: str) -> None:
    file.write(f"{line}\n".encode("utf-8", "replace"))
