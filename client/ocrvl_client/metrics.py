"""A server's metrics, fetched over plain HTTP and parsed, with nothing that is heavy to import."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import Final, Protocol

_PREFIX: Final = "ocrvl_"
_SAMPLE: Final = re.compile(r"(?P<name>[a-zA-Z_:][\w:]*)(?:\{(?P<labels>.*)\})?[ \t]+(?P<value>\S+)")
_LABEL: Final = re.compile(r'(?P<name>[a-zA-Z_]\w*)="(?P<value>(?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class HttpResponse:
    """An HTTP response: its status and its body as text."""

    status: int
    text: str


class Fetch(Protocol):
    """Sends one HTTP request to a server."""

    def __call__(self, path: str, timeout: float, body: bytes | None = None) -> HttpResponse:
        """GET the path, or POST a JSON body to it; `timeout` seconds bound each wait. Raises `OSError`."""


class HttpFetch:
    """Requests to one host and port, past any proxy, on a connection each."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port

    def __call__(self, path: str, timeout: float, body: bytes | None = None) -> HttpResponse:
        """As `Fetch`. Raises `OSError`."""
        with closing(HTTPConnection(self._host, self._port, timeout=timeout)) as connection:
            try:
                if body is None:
                    connection.request("GET", path)
                else:
                    connection.request("POST", path, body, {"Content-Type": "application/json"})
                response = connection.getresponse()
                return HttpResponse(response.status, response.read().decode("utf-8", "replace"))
            except HTTPException as error:
                raise ConnectionError(f"no HTTP answer ({type(error).__name__}: {error})") from error


@dataclass(frozen=True)
class Sample:
    """One line of a metrics endpoint, in Prometheus's word."""

    name: str
    labels: Mapping[str, str]
    value: float


def parse_samples(text: str) -> Iterator[Sample]:
    r"""The samples of this project's metrics in Prometheus's text format; lines that are not in it are left out.

    >>> list(parse_samples('# TYPE a gauge\na 1\nocrvl_a{replica="x_0_0"} -1\n'))
    [Sample(name='ocrvl_a', labels={'replica': 'x_0_0'}, value=-1.0)]
    """
    for line in text.splitlines():
        if line.startswith(_PREFIX) and (match := _SAMPLE.match(line)):
            labels = {label["name"]: label["value"] for label in _LABEL.finditer(match["labels"] or "")}
            try:
                yield Sample(match["name"], labels, float(match["value"]))
            except ValueError:
                continue


def values_by_replica(samples: list[Sample], name: str) -> dict[str, float]:
    """The values of one metric, `name` without its prefix, by the process that they are of."""
    return {sample.labels.get("replica", ""): sample.value for sample in samples if sample.name == f"{_PREFIX}{name}"}


def read_engine_states(metrics: Fetch, timeout: float) -> dict[str, float]:
    """The `ocrvl.wire.EngineState` of every engine by its replica; empty where the metrics are not available."""
    try:
        answer = metrics("/metrics", timeout)
    except OSError:
        return {}
    return values_by_replica(list(parse_samples(answer.text)), "engine_state") if answer.status == 200 else {}
