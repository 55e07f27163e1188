"""Arguments that several commands take."""

from __future__ import annotations

import typer

from ocrvl.address import split_address
from ocrvl_client.metrics import HttpFetch


def parse_address(url: str, option: str) -> tuple[str, int]:
    """Host and port. Raises `typer.BadParameter` that names the option."""
    try:
        return split_address(url)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


def parse_fetch(url: str, option: str) -> HttpFetch:
    """Requests to this host and port. Raises `typer.BadParameter` that names the option."""
    return HttpFetch(*parse_address(url, option))
