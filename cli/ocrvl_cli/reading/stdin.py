"""Standard input: one file, or images one after another."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace

from ocrvl_cli.reading.problems import InputProblem
from ocrvl_cli.reading.several import split_images
from ocrvl_cli.reading.sources import STDIN, Input, Nothing


def read_stdin(inputs: Iterable[Input | Nothing]) -> Iterator[Input | Nothing]:
    """The inputs, with what standard input holds in its place: each of several images that follow one another."""
    for one in inputs:
        if isinstance(one, Input) and one.key == STDIN:
            yield from _split_stdin(one)
        else:
            yield one


def _split_stdin(one: Input) -> Iterator[Input | Nothing]:
    try:
        images = split_images(_load_stdin())
    except InputProblem as problem:
        yield Nothing(one.name, str(problem))
        return
    if len(images) == 1:
        yield replace(one, data=images[0])
        return
    for number, data in enumerate(images, 1):
        place = one.place.with_name(f"{one.place.name}_{number:04d}")
        yield Input(f"{one.name}, image {number}", f"{STDIN}{number}", place, data=data)


def _load_stdin() -> bytes:
    if sys.stdin.isatty():
        raise InputProblem("it is a terminal: give it a file, as in `ocrvl read - < scan.png`")
    data = sys.stdin.buffer.read()
    if not data:
        raise InputProblem("it is empty")
    return data
