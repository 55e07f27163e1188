"""`ocrvl serve`: a Triton server on this machine, kept running."""

from __future__ import annotations

import signal
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ocrvl_cli.liveness import watch_server
from ocrvl_cli.server_output import StatusPrinter, open_log
from ocrvl_cli.terminal import Console

if TYPE_CHECKING:
    from ocrvl.launcher.exposure import Endpoint
    from ocrvl.launcher.server import ServerOptions, TritonServer
    from ocrvl.launcher.supervise import RecoveryPolicy, Supervisor


def serve(
    triton_arguments: Annotated[
        list[str] | None, typer.Argument(metavar="[-- TRITON ARGUMENTS]", help="Handed to tritonserver as they are.")
    ] = None,
    model_repository: Annotated[
        Path | None, typer.Option(help="The model repository; the one that comes with this package if not given.")
    ] = None,
    interface: Annotated[
        list[str] | None,
        typer.Option(metavar="unary|stream|document|receipt", help="What to serve; repeatable, all if not given."),
    ] = None,
    host: Annotated[str, typer.Option(help="The address to listen on; 0.0.0.0 opens it to the network.")] = "127.0.0.1",
    http_port: Annotated[int, typer.Option(help="Port for HTTP; 0 chooses a free one.")] = 8000,
    grpc_port: Annotated[int, typer.Option(help="Port for gRPC; 0 chooses a free one.")] = 8001,
    metrics_port: Annotated[int, typer.Option(help="Port for metrics; 0 chooses a free one.")] = 8002,
    allow: Annotated[
        list[str] | None,
        typer.Option(
            metavar="model-repository|shared-memory|trace|logging",
            help="Triton's endpoints to open, repeatable; shared-memory is open on loopback addresses.",
        ),
    ] = None,
    exit_timeout: Annotated[int, typer.Option(help="Seconds that requests in flight may take after a stop.")] = 30,
    recovery: Annotated[
        bool, typer.Option("--recovery/--no-recovery", help="Restart what died; if not, end with status 1.")
    ] = True,
    recovery_drain: Annotated[
        float, typer.Option(min=0, help="Seconds that requests in flight may take before a restart.")
    ] = 5.0,
    hang_timeout: Annotated[
        float,
        typer.Option(min=0, help="Seconds of failed liveness checks after which it is restarted; 0: never."),
    ] = 60.0,
    max_failures: Annotated[
        int, typer.Option(min=1, help="More failures than this within the window end it with status 1.")
    ] = 5,
    failure_window: Annotated[float, typer.Option(min=1, help="The window for failures, in seconds.")] = 600.0,
    log_file: Annotated[
        Path | None,
        typer.Option(help="The server's log. If not given: a file when started from a terminal, else standard error."),
    ] = None,
) -> None:
    """Start Triton with PaddleOCR-VL and keep it running until it is stopped (Ctrl-C or SIGTERM; a second one kills).

    A process of it that dies is noticed within two seconds, one that hangs by a liveness check every quarter of
    --hang-timeout, and the server is restarted on the same ports.
    Without other settings it serves the embedded nano checkpoint on the CPU, for demos and tests.

    Example: ocrvl serve --http-port 0 --grpc-port 8001 -- --log-verbose=1
    """
    console = Console(stderr=True)
    if missing := [name for name in ("vllm", "PIL", "pydantic", "psutil") if find_spec(name) is None]:
        console.print(f"not installed: {', '.join(missing)}; to serve, install ocrvl with its extra 'server'")
        raise typer.Exit(1)
    from ocrvl.launcher.leftovers import clear_leftovers
    from ocrvl.launcher.locate import TritonNotFound, find_model_repository
    from ocrvl.launcher.server import ServerFailed, ServerOptions
    from ocrvl.launcher.supervise import RecoveryFailed, RecoveryPolicy

    try:
        options = ServerOptions(
            model_repository=model_repository or find_model_repository(),
            host=host,
            http_port=http_port,
            grpc_port=grpc_port,
            metrics_port=metrics_port,
            exit_timeout=exit_timeout,
            models=_models(interface or []),
            opened=_opened(allow or []),
            extra_arguments=_triton_arguments(triton_arguments or []),
        )
        policy = RecoveryPolicy(
            drain_seconds=recovery_drain,
            max_failures=max_failures if recovery else 0,
            failure_window_seconds=failure_window,
        )
        if warning := network_warning(host):
            console.print(warning, style="yellow")
        with open_log(console, log_file) as on_line, StatusPrinter(console) as reports:
            # before the ports are looked at, which they may still hold
            for folder in clear_leftovers():
                console.print(f"cleared away: what a server left that was killed ({folder.name})")
            supervisor = _supervise(options, policy, hang_timeout, reports, on_line)
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, lambda _number, _frame: supervisor.request_stop())
            supervisor.run()
    except (ServerFailed, TritonNotFound) as error:
        console.print("the server could not be started:", style="red")
        console.print("\n".join(f"  {line}" for line in str(error).splitlines()))
        raise typer.Exit(1) from None
    except RecoveryFailed as error:
        console.print(f"gave up: {error}", style="red")
        raise typer.Exit(1) from None


def _triton_arguments(arguments: list[str]) -> tuple[str, ...]:
    """The arguments themselves; a word that cannot be one would be ignored by Triton without notice."""
    if arguments and not arguments[0].startswith("-"):
        raise typer.BadParameter(f"{arguments[0]!r} is none of Triton's arguments, which follow after --")
    return tuple(arguments)


def _models(interfaces: list[str]) -> tuple[str, ...]:
    """The models to load for these interfaces; none, for all of the repository, where every interface is named."""
    from ocrvl.launcher.interfaces import Interface, models_of

    try:
        wanted = {Interface(interface) for interface in interfaces}
    except ValueError:
        raise typer.BadParameter(f"expected one of {', '.join(Interface)}", param_hint="--interface") from None
    return () if wanted in (set(), set(Interface)) else tuple(model.value for model in models_of(wanted))


def _opened(names: list[str]) -> tuple[Endpoint, ...]:
    from ocrvl.launcher.exposure import Endpoint

    try:
        return tuple(Endpoint(name) for name in names)
    except ValueError:
        raise typer.BadParameter(f"expected one of {', '.join(Endpoint)}", param_hint="--allow") from None


def network_warning(host: str) -> str | None:
    """What an operator should know who opens the wheel's old server to a network."""
    from ocrvl.launcher.exposure import is_loopback
    from ocrvl.launcher.locate import find_triton

    if is_loopback(host) or find_triton().stub is None:
        return None
    return (
        f"{host}: the Triton server of nvidia-pytriton (24.10) has known holes that can be used over a network. "
        "Open it to callers you trust, and to others the container's (docs/security.md)"
    )


def _supervise(
    options: ServerOptions,
    policy: RecoveryPolicy,
    hang_timeout: float,
    reports: StatusPrinter,
    on_line: Callable[[str], None],
) -> Supervisor[TritonServer]:
    from ocrvl.launcher.server import TritonServer
    from ocrvl.launcher.supervise import Supervisor

    def start() -> TritonServer:
        nonlocal options
        server = TritonServer(options, on_line)
        # ports that were chosen stay the same after a recovery
        options = server.options
        reports.server = server
        return server

    return Supervisor(start, lambda server: watch_server(server, hang_timeout), reports, policy)
