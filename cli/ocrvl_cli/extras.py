"""Commands that need an extra, and that read the rest of their line themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import redirect_stderr
from importlib.util import find_spec
from io import StringIO
from typing import TypeVar

import typer

from ocrvl_cli.terminal import Console

T = TypeVar("T")

REST_OF_LINE = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
"""A command's context: its settings read the rest of the line, --help included."""


def require_packages(packages: Sequence[str], extra: str, purpose: str) -> None:
    """End with a message that names the extra where packages are missing."""
    if missing := [name for name in packages if find_spec(name) is None]:
        Console(stderr=True).print(
            f"not installed: {', '.join(missing)}; for {purpose}, install ocrvl with its extra {extra!r}"
        )
        raise typer.Exit(1)


def settings_of(read: Callable[[], T]) -> T:
    """What `read` makes of the command line; what is wrong with it is printed."""
    from ocrvl_gateway.command_settings import InvalidSettings

    console, messages = Console(stderr=True), StringIO()
    try:
        with redirect_stderr(messages):
            return read()
    except SystemExit:
        # argparse repeats what it does not know
        console.print(messages.getvalue(), end="")
        raise
    except InvalidSettings as error:
        console.print(str(error), style="red")
        raise typer.Exit(2) from None
