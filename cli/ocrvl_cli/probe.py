"""`ocrvl probe`: whether a server works, for orchestrators."""

from __future__ import annotations

from typing import Annotated

import typer

from ocrvl_cli.arguments import parse_fetch
from ocrvl_cli.terminal import echo
from ocrvl_client.probe import ProbeSettings, probe_server


def probe(
    url: Annotated[str, typer.Option(help="Host and port of the server's HTTP endpoint.")] = "localhost:8000",
    metrics_url: Annotated[
        str, typer.Option(help="Host and port of its metrics; empty to do without.")
    ] = "localhost:8002",
    live: Annotated[
        bool, typer.Option("--live", help="Liveness, whether only a restart helps, instead of readiness.")
    ] = False,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds that the whole probe may take.")] = 5.0,
    heartbeat_age: Annotated[
        float, typer.Option(min=1, help="Seconds after which a process without a heartbeat counts as dead.")
    ] = 10.0,
    busy_seconds: Annotated[
        float, typer.Option(min=0, help="An engine with work whose last step is younger than this needs no test.")
    ] = 10.0,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Print all that was checked.")] = False,
) -> None:
    """Tell by the exit status whether a server works: 0 if it does, 1 if not; and print one line that says why.

    Readiness, without --live: an engine is at work, or a tiny image is read now. Where that is refused because the
    queue is full, the server is not ready, but alive; so is one whose engines restart themselves. Heartbeats are
    compared with this machine's clock.

    Example: ocrvl probe --live --url localhost:8000 --metrics-url localhost:8002
    """
    settings = ProbeSettings(live=live, timeout=timeout, heartbeat_age=heartbeat_age, busy_seconds=busy_seconds)
    metrics = parse_fetch(metrics_url, "--metrics-url") if metrics_url else None
    result = probe_server(settings, parse_fetch(url, "--url"), metrics)
    if verbose and not quiet:
        for line in result.details:
            echo(line)
    if not quiet:
        echo(f"{'healthy' if result.healthy else 'unhealthy'}: {result.reason}")
    raise typer.Exit(0 if result.healthy else 1)
