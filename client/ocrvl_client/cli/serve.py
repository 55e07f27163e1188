"""`ocrvl serve`: a Triton server on this machine."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

if TYPE_CHECKING:
    from ocrvl.serving.server import TritonServer


def serve(
    model_repository: Annotated[
        Path | None, typer.Option(help="The model repository; the one that comes with this package if not given.")
    ] = None,
    host: Annotated[str, typer.Option(help="The address to listen on; 0.0.0.0 opens it to the network.")] = "127.0.0.1",
    http_port: Annotated[int, typer.Option(help="Port for HTTP; 0 chooses a free one.")] = 8000,
    grpc_port: Annotated[int, typer.Option(help="Port for gRPC; 0 chooses a free one.")] = 8001,
    metrics_port: Annotated[int, typer.Option(help="Port for metrics; 0 chooses a free one.")] = 8002,
    exit_timeout: Annotated[int, typer.Option(help="Seconds that requests in flight may take after a stop.")] = 30,
    log_file: Annotated[
        Path | None,
        typer.Option(help="The server's log. If not given: a file when started from a terminal, else standard error."),
    ] = None,
) -> None:
    """Start Triton with PaddleOCR-VL and run until told to stop (Ctrl-C or SIGTERM; a second one kills).

    Without other settings it serves the embedded nano checkpoint on the CPU, for demos and tests.

    Example: ocrvl serve --http-port 0 --grpc-port 8001
    """
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    if missing := [name for name in ("vllm", "PIL", "pydantic") if find_spec(name) is None]:
        console.print(f"not installed: {', '.join(missing)}; to serve, install ocrvl with its extra 'server'")
        raise typer.Exit(1)
    from ocrvl.serving.locate import TritonNotFound, find_model_repository
    from ocrvl.serving.server import ServerFailed, ServerOptions, TritonServer

    stop = _StopOnSignals(console)
    try:
        options = ServerOptions(
            model_repository=model_repository or find_model_repository(),
            host=host,
            http_port=http_port,
            grpc_port=grpc_port,
            metrics_port=metrics_port,
            exit_timeout=exit_timeout,
        )
        with _log_sink(console, log_file) as on_line, TritonServer(options, on_line) as server:
            stop.watch(server)
            with console.status("starting Triton") as status:
                server.wait_until_ready(lambda models, seconds: status.update(_progress(models, seconds)))
            stop.ready = True
            metrics = f"{host}:{server.metrics_port}/metrics"
            console.print(f"ready: gRPC {server.grpc_url}, HTTP {server.http_url}, metrics {metrics}")
            status_code = server.wait()
    except (ServerFailed, TritonNotFound) as error:
        if stop.asked:
            return
        console.print("the server could not be started:", style="red")
        console.print("\n".join(f"  {line}" for line in str(error).splitlines()), markup=False)
        raise typer.Exit(1) from None
    if not stop.asked:
        console.print(f"the server ended by itself with status {status_code}:", style="red")
        console.print("\n".join(f"  {line}" for line in server.log.causes()), markup=False)
        raise typer.Exit(1)


class _StopOnSignals:
    """The first signal lets requests in flight finish; a second one, or one before the server is ready, kills."""

    def __init__(self, console: Console) -> None:
        self.asked = False
        self.ready = False
        self._console = console

    def watch(self, server: TritonServer) -> None:
        self._server = server
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._handle)

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        if self.asked or not self.ready:
            self._server.kill()
        else:
            self._console.print("stopping: waiting for requests in flight")
            self._server.request_stop()
        self.asked = True


def _progress(models: list[str], seconds: float) -> str:
    what = f"models: {', '.join(models)}" if models else "its endpoints"
    return f"waiting for {what} ({seconds:.0f} s)"


@contextmanager
def _log_sink(console: Console, log_file: Path | None) -> Iterator[Callable[[str], None]]:
    """Where the server's log goes: into a file for a person at a terminal, else straight to standard error."""
    if log_file is None and not console.is_terminal:
        yield lambda line: console.out(line, highlight=False)
        return
    path = log_file or Path(typer.get_app_dir("ocrvl")) / "serve.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", buffering=1) as file:
        console.print(f"log: {path}")
        yield lambda line: print(line, file=file)
