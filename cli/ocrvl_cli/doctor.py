"""`ocrvl doctor`: what of this machine is fit to serve, and what to do about the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final

import typer

from ocrvl_cli.arguments import parse_fetch
from ocrvl_cli.diagnostics import hardware, models, packages
from ocrvl_cli.diagnostics.facts import Facts
from ocrvl_cli.diagnostics.findings import Finding, Level
from ocrvl_cli.terminal import Console, dump_json, echo
from ocrvl_client.probe import ProbeSettings, probe_server

CHECKS: Final[tuple[Callable[[Facts], Finding | list[Finding] | None], ...]] = (
    packages.check_python,
    packages.check_versions,
    packages.check_torchvision,
    packages.check_triton,
    packages.check_fonts,
    hardware.check_locale,
    hardware.check_gpus,
    hardware.check_visible_devices,
    hardware.check_gpu_memory,
    hardware.check_sharing,
    hardware.check_memory,
    hardware.check_shared_memory,
    hardware.check_cores,
    hardware.check_disk,
    hardware.check_ports,
    models.check_repository,
    models.check_checkpoint,
    models.check_server,
)

_STYLES: Final = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "bold red"}
_PROBE_SECONDS: Final = 10.0


def doctor(
    model_repository: Annotated[
        Path | None, typer.Option(help="The repository to look at; the one that comes with this package if not given.")
    ] = None,
    url: Annotated[
        str, typer.Option(help="Host and port of the HTTP endpoint of a server that runs, to be looked at as well.")
    ] = "",
    metrics_url: Annotated[str, typer.Option(help="Host and port of its metrics; empty to do without.")] = "",
    http_port: Annotated[int, typer.Option(help="The port that a server is to have for HTTP.")] = 8000,
    grpc_port: Annotated[int, typer.Option(help="The port that it is to have for gRPC.")] = 8001,
    metrics_port: Annotated[int, typer.Option(help="The port that it is to have for metrics.")] = 8002,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list instead of lines.")] = False,
) -> None:
    """Look at this machine and say what is fit to serve, what is not, and what to do about it.

    The exit status is 1 if something fails. Nothing is started, downloaded or changed.

    Examples: ocrvl doctor --model-repository /srv/ocr

    ocrvl doctor --url localhost:8000 --metrics-url localhost:8002
    """
    from ocrvl_cli.diagnostics.machine import gather_machine, gather_software
    from ocrvl_cli.diagnostics.repository import gather_repository

    facts = Facts(
        machine=gather_machine((http_port, grpc_port, metrics_port)),
        software=gather_software(),
        repository=gather_repository(model_repository),
        server=_probe(url, metrics_url) if url else None,
    )
    findings = run_checks(facts)
    if as_json:
        echo(dump_json([asdict(finding) for finding in findings], indent=1))
    else:
        _print(findings)
    if any(finding.level is Level.FAIL for finding in findings):
        raise typer.Exit(1)


def run_checks(facts: Facts) -> list[Finding]:
    """The findings of every check, in the order in which they are printed."""
    findings: list[Finding] = []
    for check in CHECKS:
        found = check(facts)
        findings += found if isinstance(found, list) else [found] if found else []
    return findings


def _print(findings: Iterable[Finding]) -> None:
    console = Console()
    for finding in findings:
        console.print(f"{finding.level:<5}", style=_STYLES[finding.level], end="")
        console.print(f"{finding.name:<15} {finding.detail}")
        if finding.advice:
            console.print(f"     {'':<15} {finding.advice}", style="dim")


def _probe(url: str, metrics_url: str) -> tuple[bool, str]:
    result = probe_server(
        ProbeSettings(timeout=_PROBE_SECONDS),
        parse_fetch(url, "--url"),
        parse_fetch(metrics_url, "--metrics-url") if metrics_url else None,
    )
    return result.healthy, result.reason
