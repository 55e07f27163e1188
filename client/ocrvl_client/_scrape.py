"""Asking a server over plain HTTP and reading its metrics, with nothing that is heavy to import."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from enum import IntEnum
from http.client import HTTPConnection, HTTPException
from typing import Final, Protocol

_PREFIX: Final = "ocrvl_"
_SAMPLE: Final = re.compile(r"(?P<name>[a-zA-Z_:][\w:]*)(?:\{(?P<labels>.*)\})?[ \t]+(?P<value>\S+)")
_LABEL: Final = re.compile(r'(?P<name>[a-zA-Z_]\w*)="(?P<value>(?:[^"\\]|\\.)*)"')


class EngineState(IntEnum):
    """Values of the gauge `ocrvl_engine_state`."""

    READY = 1
    STARTING = 0
    GAVE_UP = -1


@dataclass(frozen=True)
class Answer:
    """An HTTP answer."""

    status: int
    text: str


class Fetch(Protocol):
    """Asks one server."""

    def __call__(self, path: str, timeout: float, body: bytes | None = None) -> Answer:
        """GET the path, or POST a JSON body to it; `timeout` seconds bound each wait. Raises `OSError`."""


class HttpFetch:
    """Asks over HTTP, past any proxy, with a connection for each request."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port

    def __call__(self, path: str, timeout: float, body: bytes | None = None) -> Answer:
        with closing(HTTPConnection(self._host, self._port, timeout=timeout)) as connection:
            try:
                if body is None:
                    connection.request("GET", path)
                else:
                    connection.request("POST", path, body, {"Content-Type": "application/json"})
                response = connection.getresponse()
                return Answer(response.status, response.read().decode("utf-8", "replace"))
            except HTTPException as error:
                raise ConnectionError(f"no HTTP answer ({type(error).__name__}: {error})") from error


@dataclass(frozen=True)
class Sample:
    """One line of a metrics endpoint."""

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
    """The `EngineState` of every engine by its replica; empty where the metrics cannot be had."""
    try:
        answer = metrics("/metrics", timeout)
    except OSError:
        return {}
    return values_by_replica(list(parse_samples(answer.text)), "engine_state") if answer.status == 200 else {}
