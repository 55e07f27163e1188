"""`ocrvl_client.metrics`: samples, states of engines, and how they are fetched."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler

import pytest

from ocrvl.wire import EngineState
from ocrvl_client.metrics import HttpFetch, HttpResponse, Sample, parse_samples, read_engine_states
from tests.support.servers import (
    BUSY,
    UNREACHABLE,
    FakeServer,
    engine,
    listening,
    metrics,
    say,
)


def test_samples_are_read_as_prometheus_writes_them() -> None:
    text = (
        "# HELP ocrvl_a What it is\n# TYPE ocrvl_a gauge\n\nocrvl_a 1\n"
        'ocrvl_b{replica="x_0_0",reason="a \\"quoted\\" } word"} 1.5e+09 1700000000000\n'
        'ocrvl_c{} NaN\nnv_gpu_power 3\nocrvl_d\nocrvl_e{replica="x"} much\n'
    )
    first, second, third = parse_samples(text)
    assert first == Sample("ocrvl_a", {}, 1)
    assert second == Sample("ocrvl_b", {"replica": "x_0_0", "reason": 'a \\"quoted\\" } word'}, 1.5e9)
    assert third.name == "ocrvl_c"


@pytest.mark.parametrize(
    ("fake", "states"),
    [
        (metrics(engine("e_0_0", state=-1), engine("e_0_1")), {"e_0_0": EngineState.GAVE_UP, "e_0_1": 1}),
        (metrics(), {}),
        (UNREACHABLE, {}),
        (FakeServer({"/metrics": HttpResponse(500, BUSY)}), {}),
    ],
)
def test_states_of_engines_are_read_and_none_where_metrics_are_off(fake: FakeServer, states: dict[str, float]) -> None:
    assert read_engine_states(fake, 1) == states


def echo(request: BaseHTTPRequestHandler) -> None:
    length = int(request.headers.get("Content-Length", 0))
    said = [request.command, request.path, str(request.headers["Content-Type"]), request.rfile.read(length).decode()]
    say(request, 418, " ".join(said))


def test_requests_are_sent_over_http() -> None:
    with listening(echo) as port:
        fetch = HttpFetch("127.0.0.1", port)
        assert fetch("/metrics", 5) == HttpResponse(418, "GET /metrics None ")
        assert fetch("/x", 5, b"{}") == HttpResponse(418, "POST /x application/json {}")


def test_requests_bypass_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with listening(echo) as port:
        assert HttpFetch("127.0.0.1", port)("/", 5).status == 418


def test_what_is_no_http_is_an_os_error() -> None:
    def babble(request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(b"SSH-2.0\r\n")

    with listening(babble) as port, pytest.raises(OSError, match="no HTTP answer"):
        HttpFetch("127.0.0.1", port)("/", 5)


def test_silence_is_a_timeout() -> None:
    enough = threading.Event()

    def wait(request: BaseHTTPRequestHandler) -> None:
        enough.wait(20)

    with listening(wait) as port:
        with pytest.raises(TimeoutError):
            HttpFetch("127.0.0.1", port)("/", 0.2)
        enough.set()
