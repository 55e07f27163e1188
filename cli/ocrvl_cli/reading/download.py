"""A URL's bytes, within bounds of size, time and redirections."""

from __future__ import annotations

import time
from collections.abc import Callable
from http.client import HTTPException
from typing import Any, Final
from urllib.error import HTTPError, URLError
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    UnknownHandler,
)

from ocrvl_cli.reading.errors import InputError

MAX_BYTES: Final = 268_435_456
"""What the server takes as a document by default (`max_file_bytes`)."""

_CHUNK: Final = 1 << 16


class _FewRedirections(HTTPRedirectHandler):
    max_redirections = 5
    max_repeats = 2


def download(
    url: str, timeout: float, *, max_bytes: int = MAX_BYTES, clock: Callable[[], float] = time.monotonic
) -> bytes:
    """GET an http or https URL, within `timeout` seconds and five redirections. Raises `InputError`."""
    opener = OpenerDirector()
    # these and no others: urllib's default opener reads files and FTP as well
    for handler in (
        ProxyHandler(),
        HTTPHandler(),
        HTTPSHandler(),
        _FewRedirections(),
        HTTPDefaultErrorHandler(),
        HTTPErrorProcessor(),
        UnknownHandler(),
    ):
        opener.add_handler(handler)
    try:
        with opener.open(Request(url, headers={"User-Agent": "ocrvl"}), timeout=timeout) as answer:  # noqa: S310 - see above
            data = _receive(answer, max_bytes, clock() + timeout, clock)
    except (OSError, HTTPException, ValueError) as error:
        raise InputError(_say(error, timeout)) from None
    if not data:
        raise InputError("it is empty")
    return data


def _receive(answer: Any, max_bytes: int, deadline: float, clock: Callable[[], float]) -> bytes:
    """The body. Raises `InputError`, `TimeoutError`, and what the connection raises."""
    chunks: list[bytes] = []
    promised, size = int(answer.headers.get("Content-Length") or 0), 0
    while promised <= max_bytes and size <= max_bytes:
        # returns what is there, so that a trickle meets the deadline too
        chunk = answer.read1(_CHUNK)
        if not chunk:
            return b"".join(chunks)
        chunks.append(chunk)
        size += len(chunk)
        if clock() > deadline:
            raise TimeoutError
    raise InputError(f"larger than {max_bytes >> 20} MiB")


def _say(error: Exception, timeout: float) -> str:
    match error:
        case HTTPError():
            return f"the web server answers {error.code} {error.reason}".strip()
        case TimeoutError() | URLError(reason=TimeoutError()):
            return f"not downloaded within {timeout:g} s"
        case URLError():
            return f"it cannot be reached: {error.reason}"
        case _:
            return f"the download failed: {error}"
