"""What all of `python -m stress` print to."""

from __future__ import annotations

import sys
from typing import Final

from rich.console import Console

_WIDTH: Final = 160
"""Columns of tables where they are not written to a terminal."""


def make_console() -> Console:
    """Lines as long as they are, tables as wide as the terminal."""
    return Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else _WIDTH)
