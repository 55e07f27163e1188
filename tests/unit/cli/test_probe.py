"""`ocrvl probe`: its exit status and what it prints."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler

import pytest
from typer.testing import CliRunner

from ocrvl_cli import app
from tests.support.servers import (
    listening,
    say,
)


def triton(request: BaseHTTPRequestHandler) -> None:
    """A server that is full, but ready for all else."""
    request.rfile.read(int(request.headers.get("Content-Length", 0)))
    if request.path.startswith("/v2/models"):
        say(request, 503, '{"error":"Exceeds maximum queue size"}')
    else:
        say(request, 200, "")


@pytest.mark.parametrize(
    ("options", "status", "lines"),
    [
        ([], 1, ["unhealthy: a test image was refused: 503, Exceeds maximum queue size"]),
        (["--live"], 0, ["healthy: a test image was refused: 503, Exceeds maximum queue size"]),
        (["--quiet"], 1, []),
        (["--quiet", "--verbose"], 1, []),
    ],
)
def test_the_command_tells_by_its_status_and_one_line(options: list[str], status: int, lines: list[str]) -> None:
    with listening(triton) as port:
        done = CliRunner().invoke(app, ["probe", "--url", f"127.0.0.1:{port}", "--metrics-url", "", *options])
    assert done.exit_code == status
    assert done.output.splitlines() == lines


def test_the_command_prints_all_that_was_checked() -> None:
    with listening(triton) as port:
        url = f"127.0.0.1:{port}"
        done = CliRunner().invoke(app, ["probe", "--verbose", "--url", url, "--metrics-url", url])
    assert done.output.splitlines()[:2] == [
        "/v2/health/ready answers 200",
        "metrics (status 200) have none of ours, so an image alone decides",
    ]


@pytest.mark.parametrize("url", ["http://localhost:8000", "localhost", "localhost:http", ":8000"])
def test_a_url_that_is_no_host_and_port_is_refused(url: str) -> None:
    done = CliRunner().invoke(app, ["probe", "--url", url])
    assert done.exit_code == 2
    assert "expected host and port" in done.output
