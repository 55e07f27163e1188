"""What a worker sends back: a result or a problem, as bytes."""

from __future__ import annotations

import json
from dataclasses import astuple
from typing import Final

from ocrvl_gateway.problems import Problem

_RESULT: Final = b"+"
"""The first byte of a result; the JSON of a problem has another."""


def encode_result(body: bytes) -> bytes:
    """The answer with the body of a response."""
    return _RESULT + body


def encode_problem(problem: Problem) -> bytes:
    """The answer with a problem; without its headers."""
    return json.dumps(astuple(problem)[:-1]).encode()


def decode_answer(data: bytes) -> bytes | Problem:
    """The body of a response, or the problem."""
    if data[:1] == _RESULT:
        return data[1:]
    status, code, message, param, retry_after, fields = json.loads(data)
    return Problem(status, code, message, param, retry_after, tuple(fields))
