"""`ocrvl read`: images to text, documents to Markdown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ocrvl.wire import Task, check_pages
from ocrvl_cli.arguments import parse_address
from ocrvl_cli.reading.connection import Server
from ocrvl_cli.reading.errors import Exit
from ocrvl_cli.reading.read_plan import RECEIPT_FORMATS, Format, ReadPlan

_DEFAULT_URLS = {"grpc": "localhost:8001", "http": "localhost:8000"}

_WHAT = "What to read"
_RESULTS = "Results"
_RUN = "The run"
_SERVER = "The server"

HELP = """Read images and documents: files, folders, patterns, URLs, or - for standard input.

Images are read as a whole and their text is printed. PDF files are read page by page: the blocks of a page are \
found and each is read as what it is, which --layout does for images as well. With --output results become files, \
and a run that was interrupted goes on where it ended: the same command skips what is done and unchanged.

\b
Examples:
  ocrvl read receipt.png invoice.jpg
  ocrvl read report.pdf --pages 1-5 -o out/
  ocrvl read scans/ -o texts/ --format text
  ocrvl read "2024/**/*.tif" -o out/ --format markdown --format html --draw
  ocrvl read table.png --task table --format html > table.html
  ocrvl read receipts/ --receipt -o out/
  curl -s https://example.org/scan.png | ocrvl read - --json

\b
Exit status:
  0    everything was read, or had been before
  1    some could not be read; they are listed at the end, the others were read
  2    nothing was read: an argument is wrong, or there is no such server
  3    the server went away in the middle; run the same command again
  4    results cannot be written: a full disk, for example
  130  interrupted by Ctrl-C (143: by SIGTERM); with --output the same command goes on
"""


class WireProtocol(StrEnum):
    """The protocols of the client, as a choice on the command line."""

    GRPC = "grpc"
    HTTP = "http"


def read(
    inputs: Annotated[
        list[str],
        typer.Argument(metavar="INPUT...", help="PDF files, and images: JPEG, PNG, WebP, TIFF or BMP."),
    ],
    task: Annotated[
        Task | None,
        typer.Option(
            help="Read each image or page as a whole, as this; ocr if not given, without layout.",
            rich_help_panel=_WHAT,
        ),
    ] = None,
    layout: Annotated[
        bool | None,
        typer.Option(
            "--layout/--no-layout",
            help="Find the blocks of each page first; so for PDF files, Markdown, HTML and --output if not given.",
            rich_help_panel=_WHAT,
        ),
    ] = None,
    receipt: Annotated[
        bool,
        typer.Option(
            "--receipt",
            help="Find the fields of receipts: company, date, items, total and more.",
            rich_help_panel=_WHAT,
        ),
    ] = False,
    pages: Annotated[
        str, typer.Option(help="Pages of a document, from 1 on, such as 1-5,8,12-.", rich_help_panel=_WHAT)
    ] = "",
    options: Annotated[
        str,
        typer.Option(help='Options of the request as JSON, such as {"max_tokens": 100}.', rich_help_panel=_WHAT),
    ] = "{}",
    formats: Annotated[
        list[Format] | None,
        typer.Option(
            "--format",
            "-f",
            help="What results are written as; with --output several may be given.",
            rich_help_panel=_RESULTS,
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="The same as --format json: an object a line.", rich_help_panel=_RESULTS)
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="A folder for results; if no format is given, Markdown, JSON and drawn pages; of receipts JSON, CSV "
            "and drawings.",
            rich_help_panel=_RESULTS,
        ),
    ] = None,
    draw: Annotated[
        bool | None,
        typer.Option(
            "--draw/--no-draw", help="Write pages or receipts with boxes and labels.", rich_help_panel=_RESULTS
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Read again what is done.", rich_help_panel=_RESULTS)] = False,
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs",
            "-j",
            min=1,
            max=1024,
            help="Inputs at a time; 32, of them 4 documents, if not given.",
            rich_help_panel=_RUN,
        ),
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds that a request may take.", rich_help_panel=_RUN)
    ] = 300.0,
    wait: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Seconds to wait for a server that loads or restarts; 0 at the start and 60 later if not given.",
            rich_help_panel=_RUN,
        ),
    ] = None,
    url: Annotated[
        str,
        typer.Option(
            help="Host and port; the protocol's usual port on this machine if empty.", rich_help_panel=_SERVER
        ),
    ] = "",
    protocol: Annotated[
        WireProtocol, typer.Option(help="How to talk to the server.", rich_help_panel=_SERVER)
    ] = WireProtocol.GRPC,
    header: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME:VALUE", help="Sent with every request; repeatable.", rich_help_panel=_SERVER),
    ] = None,
    tls: Annotated[
        bool, typer.Option("--tls", help="Encrypt, trusting the system's authorities.", rich_help_panel=_SERVER)
    ] = False,
    ca: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="Certificate of the authority to trust; implies --tls.",
            rich_help_panel=_SERVER,
        ),
    ] = None,
    certificate: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="This client's own certificate, with --key.", rich_help_panel=_SERVER
        ),
    ] = None,
    key: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Its private key.", rich_help_panel=_SERVER)
    ] = None,
) -> None:
    """Read images and documents; `HELP` is what the command says of itself."""
    wanted = [*(formats or []), *([Format.JSON] if as_json else [])]
    _check(wanted, output, task, layout, draw, certificate, key)
    _check_receipt(wanted, receipt=receipt, others={"--task": task, "--layout": layout, "--pages": pages})
    address = url or _DEFAULT_URLS[protocol]
    parse_address(address, "--url")
    server = Server(
        url=address,
        protocol="grpc" if protocol is WireProtocol.GRPC else "http",
        timeout=timeout,
        headers=dict(map(_parse_header, header or [])),
        tls=tls or any((ca, certificate)),
        ca=ca,
        certificate=certificate,
        key=key,
    )
    plan = ReadPlan(
        to_files=output is not None,
        formats=tuple(dict.fromkeys(wanted)),
        layout=layout,
        task=task,
        receipt=receipt,
        draw=draw,
        pages=_checked_pages(pages),
        options=_parse_options(options),
    )
    try:
        # they bring NumPy and gRPC along, which the other commands do not wait for
        from ocrvl_cli.reading.batch import Limits
        from ocrvl_cli.reading.run import read_all

        limits = Limits(
            jobs=jobs or Limits.jobs,
            documents=jobs or Limits.documents,
            start_retry_timeout=wait or 0,
            retry_timeout=Limits.retry_timeout if wait is None else wait,
        )
        status = read_all(inputs, server, plan, limits, output, force=force)
    except KeyboardInterrupt:
        # before there was a run that could handle it
        status = Exit.INTERRUPTED
    if status:
        raise typer.Exit(status)


def _check(
    wanted: list[Format],
    output: Path | None,
    task: Task | None,
    layout: bool | None,
    draw: bool | None,
    certificate: Path | None,
    key: Path | None,
) -> None:
    """Refuse what cannot be meant together."""
    if output is None and len(set(wanted)) > 1:
        raise typer.BadParameter("several formats need a folder", param_hint="--output")
    if output is None and draw:
        raise typer.BadParameter("drawn pages need a folder", param_hint="--output")
    if task and layout:
        raise typer.BadParameter("--layout reads each block as what it is, --task the whole page", param_hint="--task")
    if draw and (task or layout is False):
        raise typer.BadParameter("only blocks that --layout finds can be drawn", param_hint="--draw")
    if (certificate is None) != (key is None):
        raise typer.BadParameter("--certificate and --key go together")


def _check_receipt(wanted: list[Format], *, receipt: bool, others: Mapping[str, object]) -> None:
    """Refuse what does not go with receipts, and their format without them."""
    if not receipt:
        if Format.CSV in wanted:
            raise typer.BadParameter(
                "tables for spreadsheets are made of receipts, with --receipt", param_hint="--format"
            )
        return
    for option, value in others.items():
        if value not in (None, ""):
            raise typer.BadParameter("a receipt is one image, whose lines are found first", param_hint=option)
    if beyond := set(wanted) - set(RECEIPT_FORMATS):
        raise typer.BadParameter(
            f"receipts are written as {', '.join(RECEIPT_FORMATS)}, not {', '.join(sorted(beyond))}",
            param_hint="--format",
        )


def _checked_pages(pages: str) -> str:
    try:
        return check_pages(pages) if pages else ""
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--pages") from None


def _parse_header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise typer.BadParameter(f"{text!r}: expected NAME:VALUE", param_hint="--header")
    return name.strip(), value.strip()


def _parse_options(text: str) -> dict[str, object]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(f"not JSON: {error}", param_hint="--options") from None
    if not isinstance(value, dict):
        raise typer.BadParameter("expected a JSON object", param_hint="--options")
    return value
