"""Standard input: one file, or images one after another."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace

from ocrvl_cli.reading.concatenated import split_images
from ocrvl_cli.reading.errors import InputError
from ocrvl_cli.reading.sources import STDIN, Input, SkippedInput


def read_stdin(inputs: Iterable[Input | SkippedInput]) -> Iterator[Input | SkippedInput]:
    """The inputs, with those of standard input instead of it: each of the images that follow one another in it."""
    for one in inputs:
        if isinstance(one, Input) and one.key == STDIN:
            yield from _split_stdin(one)
        else:
            yield one


def _split_stdin(one: Input) -> Iterator[Input | SkippedInput]:
    try:
        images = split_images(_load_stdin())
    except InputError as error:
        yield SkippedInput(one.name, str(error))
        return
    if len(images) == 1:
        yield replace(one, data=images[0])
        return
    for number, data in enumerate(images, 1):
        target = one.target.with_name(f"{one.target.name}_{number:04d}")
        yield Input(f"{one.name}, image {number}", f"{STDIN}{number}", target, data=data)


def _load_stdin() -> bytes:
    if sys.stdin.isatty():
        raise InputError("it is a terminal: give it a file, as in `ocrvl read - < scan.png`")
    data = sys.stdin.buffer.read()
    if not data:
        raise InputError("it is empty")
    return data
