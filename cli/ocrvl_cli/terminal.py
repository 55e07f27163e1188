"""What is printed: names, messages and texts that others wrote give a terminal no commands."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import rich.console
import typer
import typer.core

_UNSEEN: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, marks that turn the direction of writing (Unicode's bidirectional controls), and surrogates: so
Python has the bytes of a file name that is not UTF-8."""

_BYTE: Final = range(0xDC80, 0xDD00)
"""Where `surrogateescape` puts such bytes (PEP 383)."""


def printable(text: str, *, keep: str = "") -> str:
    r"""The text with an escape for what a terminal would obey or could not show, but for the characters of `keep`.

    >>> printable("caf\udce9\x1b[2J\n.png")
    'caf\\xe9\\x1b[2J\\n.png'
    """
    return _UNSEEN.sub(lambda found: found[0] if found[0] in keep else _escape(found[0]), text)


def dump_json(value: object, indent: int | None = None) -> str:
    r"""JSON that every parser takes and every terminal can show. Bytes that are not UTF-8 are `\xe9` in its strings.

    >>> dump_json({"file": "caf\udce9\x9b.png"})
    '{"file": "caf\\\\xe9\\u009b.png"}'
    """
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    # line ends are between strings, inside them they are escaped already
    return _UNSEEN.sub(lambda found: found[0] if found[0] == "\n" else _escape_json(found[0]), text)


def echo(text: str) -> None:
    """Print a result on standard output: as it is for a program, without a terminal's commands for a terminal."""
    shown = printable(text, keep="\n\t") if sys.stdout.isatty() else text
    encoding = sys.stdout.encoding or "utf-8"
    typer.echo(shown.encode(encoding, "backslashreplace").decode(encoding))


def echo_path(path: Path) -> None:
    """Print where a result is: the bytes of its name for a program."""
    typer.echo(printable(str(path)) if sys.stdout.isatty() else os.fsencode(path))


class Console(rich.console.Console):
    """Prints lines as they are: none is broken or coloured by itself, and brackets are no markup."""

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, highlight=False, soft_wrap=True)

    def print(self, *objects: Any, **options: Any) -> None:
        """Print the objects, strings among them without a terminal's commands."""
        safe = (printable(each, keep="\n\t") if isinstance(each, str) else each for each in objects)
        super().print(*safe, **{"markup": False, **options})


class Group(typer.core.TyperGroup):
    """Commands whose usage errors repeat what they were called with, which a shell's pattern may have filled in."""

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        """As the base class, with errors that a terminal can show."""
        with _printable_errors():
            return super().make_context(*arguments, **options)

    def invoke(self, ctx: Any) -> Any:
        """As the base class, with errors that a terminal can show."""
        with _printable_errors():
            return super().invoke(ctx)


@contextmanager
def _printable_errors() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        # of click's own exceptions, wherever the installed typer keeps them
        if isinstance(message := getattr(error, "message", None), str):
            vars(error)["message"] = printable(message, keep="\n\t")
        raise


def _escape(character: str) -> str:
    if ord(character) in _BYTE:
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()


def _escape_json(character: str) -> str:
    return f"\\{_escape(character)}" if ord(character) in _BYTE else f"\\u{ord(character):04x}"
