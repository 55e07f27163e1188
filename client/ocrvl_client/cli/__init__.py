"""The command `ocrvl`."""

from __future__ import annotations

import typer

from ocrvl_client.cli.probe import probe
from ocrvl_client.cli.read import read
from ocrvl_client.cli.repository import repository
from ocrvl_client.cli.serve import serve

app = typer.Typer(
    name="ocrvl",
    help="PaddleOCR-VL on Triton: serve it, read pictures with it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command()(serve)
app.command()(read)
app.command()(repository)
app.command()(probe)
