"""The command `ocrvl`."""

from __future__ import annotations

from typing import Annotated

import typer

from ocrvl import __version__
from ocrvl_cli import adapters, receipts
from ocrvl_cli.doctor import doctor
from ocrvl_cli.extras import REST_OF_LINE
from ocrvl_cli.gateway import gateway
from ocrvl_cli.probe import probe
from ocrvl_cli.quantize import quantize
from ocrvl_cli.read import HELP, read
from ocrvl_cli.repository import repository
from ocrvl_cli.serve import serve
from ocrvl_cli.terminal import Group, echo

app = typer.Typer(
    name="ocrvl",
    cls=Group,
    help="PaddleOCR-VL on Triton: serve it, read images with it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _tell_version(wanted: bool) -> None:
    if wanted:
        echo(f"ocrvl {__version__}")
        raise typer.Exit


@app.callback()
def _all_commands(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and end.", is_eager=True, callback=_tell_version)
    ] = False,
) -> None:
    pass


app.command()(serve)
app.command(help=HELP)(read)
app.command()(repository)
app.command()(quantize)
app.command()(probe)
app.command()(doctor)
app.command(context_settings=REST_OF_LINE)(gateway)
app.add_typer(adapters.app, name="adapters")
app.add_typer(receipts.app, name="receipts")
