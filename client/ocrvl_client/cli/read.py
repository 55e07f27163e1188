"""`ocrvl read`: pictures to text."""

from __future__ import annotations

import json
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ocrvl.wire import Task
from ocrvl_client._errors import InvalidRequest, OcrvlError, ServerUnavailable

_DEFAULT_URLS = {"grpc": "localhost:8001", "http": "localhost:8000"}


class WireProtocol(StrEnum):
    """The protocols of the client, as a choice on the command line."""

    GRPC = "grpc"
    HTTP = "http"


def read(
    files: Annotated[list[Path], typer.Argument(help="Pictures: JPEG, PNG, WebP, TIFF or BMP.")],
    task: Annotated[Task, typer.Option(help="What is in the pictures.")] = Task.OCR,
    protocol: Annotated[WireProtocol, typer.Option(help="How to talk to the server.")] = WireProtocol.GRPC,
    url: Annotated[str, typer.Option(help="Host and port; the protocol's usual port on this machine if empty.")] = "",
    options: Annotated[str, typer.Option(help='Options of the request as JSON, such as {"max_tokens": 100}.')] = "{}",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, with token counts.")] = False,
) -> None:
    """Read pictures and print their text.

    A file that can not be read is reported at the end, the others are read; the exit status is then 1.

    Example: ocrvl read receipt.png invoice.jpg --task ocr
    """
    # it brings NumPy and gRPC along, which the other commands do not wait for
    from ocrvl_client._client import Client

    errors = Console(stderr=True, highlight=False, soft_wrap=True)
    request_options = _parse_options(options)
    failed = 0
    with Client(url or _DEFAULT_URLS[protocol], protocol=protocol.value) as client:
        for file in files:
            try:
                reading = client.read(file, task=task, **request_options)
            except InvalidRequest as error:
                failed += 1
                errors.print(f"{file}: {str(error).removeprefix(f'{file}: ')}", style="red", markup=False)
                continue
            except OcrvlError as error:
                errors.print(str(error), style="red", markup=False)
                if isinstance(error, ServerUnavailable):
                    errors.print("start one with: ocrvl serve")
                raise typer.Exit(2) from None
            if as_json:
                typer.echo(json.dumps({"file": str(file), **asdict(reading)}, ensure_ascii=False))
            else:
                if len(files) > 1:
                    typer.echo(f"==> {file} <==")
                typer.echo(reading.text)
            if reading.warning:
                errors.print(f"{file}: {reading.warning}", style="yellow", markup=False)
    if failed:
        raise typer.Exit(1)


def _parse_options(text: str) -> dict[str, object]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(f"not JSON: {error}", param_hint="--options") from None
    if not isinstance(value, dict):
        raise typer.BadParameter("a JSON object is wanted", param_hint="--options")
    return value
