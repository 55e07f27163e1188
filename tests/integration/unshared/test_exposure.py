"""What a server answers besides requests: endpoints that change it are closed, on both protocols."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator, Mapping
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import psutil
import pytest
import tritonclient.grpc as triton_grpc
from tritonclient.utils import InferenceServerException

from ocrvl.launcher.exposure import Endpoint
from ocrvl.launcher.server import TritonServer
from ocrvl.local_keys import GRPC_PREFIX, KEY_HEADER, read_key
from tests.support.small import small_server

Call = Callable[[triton_grpc.InferenceServerClient], Any]

CHANGING: dict[Endpoint, list[tuple[str, str, Call]]] = {
    Endpoint.REPOSITORY: [
        ("POST", "/v2/repository/index", lambda client: client.get_model_repository_index()),
        ("POST", "/v2/repository/models/cancel/load", lambda client: client.load_model("cancel")),
        ("POST", "/v2/repository/models/cancel/unload", lambda client: client.unload_model("cancel")),
    ],
    Endpoint.TRACE: [
        ("GET", "/v2/trace/setting", lambda client: client.get_trace_settings()),
        ("POST", "/v2/trace/setting", lambda client: client.update_trace_settings(settings={"trace_rate": "1"})),
    ],
    Endpoint.LOGGING: [
        ("GET", "/v2/logging", lambda client: client.get_log_settings()),
        ("POST", "/v2/logging", lambda client: client.update_log_settings({"log_verbose_level": 1})),
    ],
    Endpoint.SHARED_MEMORY: [
        ("GET", "/v2/systemsharedmemory/status", lambda client: client.get_system_shared_memory_status()),
        (
            "POST",
            "/v2/systemsharedmemory/region/taken/register",
            lambda client: client.register_system_shared_memory("taken", "/triton", 64),
        ),
        ("GET", "/v2/cudasharedmemory/status", lambda client: client.get_cuda_shared_memory_status()),
    ],
}


@pytest.fixture(scope="module", params=["127.0.0.1", "0.0.0.0"])
def small(request: pytest.FixtureRequest) -> Iterator[TritonServer]:
    with small_server(host=request.param) as running:
        yield running


def http_status(server: TritonServer, method: str, path: str, headers: Mapping[str, str] | None = None) -> int:
    connection = HTTPConnection(server.options.host, server.http_port, timeout=10)
    connection.request(method, path, body=b"{}" if method == "POST" else None, headers=headers or {})
    status = connection.getresponse().status
    connection.close()
    return status


def grpc_refusal(server: TritonServer, call: Call) -> str:
    """Why a call is refused; empty if it is not."""
    with triton_grpc.InferenceServerClient(server.grpc_url) as client:
        try:
            call(client)
        except InferenceServerException as error:
            return str(error.message())
    return ""


def test_what_changes_a_server_is_closed(small: TritonServer) -> None:
    for endpoint in Endpoint:
        for method, path, call in CHANGING[endpoint]:
            assert http_status(small, method, path) == 403, path
            assert "protocol is restricted" in grpc_refusal(small, call), path


def test_what_asks_and_reads_is_open(small: TritonServer) -> None:
    for path in ("/v2", "/v2/health/ready", "/v2/models/cancel", "/v2/models/cancel/config", "/v2/models/stats"):
        assert http_status(small, "GET", path) == 200, path


def test_shared_memory_is_opened_on_loopback_by_the_key_that_this_user_finds(small: TritonServer) -> None:
    _, path, _ = CHANGING[Endpoint.SHARED_MEMORY][0]
    keys = [read_key(port) for port in (small.http_port, small.grpc_port)]
    if small.options.host != "127.0.0.1":
        assert keys == [None, None]
        return
    assert http_status(small, "GET", path, {KEY_HEADER: keys[0] or ""}) == 200
    with triton_grpc.InferenceServerClient(small.grpc_url) as client:
        client.get_system_shared_memory_status(headers={GRPC_PREFIX + KEY_HEADER: keys[1] or ""})


def test_what_the_server_shares_between_its_processes_is_its_user_s_alone(small: TritonServer) -> None:
    (prefix,) = (
        word.partition("shm-region-prefix-name=")[2] for word in psutil.Process(small.pid).cmdline() if "prefix" in word
    )
    regions = list(Path("/dev/shm").glob(f"{prefix}*"))
    assert regions
    assert {stat.S_IMODE(region.stat().st_mode) for region in regions} == {0o600}


def test_an_operator_opens_what_is_named_and_no_more() -> None:
    with small_server(opened=(Endpoint.REPOSITORY,)) as running:
        assert http_status(running, "POST", "/v2/repository/index") == 200
        assert http_status(running, "GET", "/v2/logging") == 403
