"""`ocrvl_cli.liveness`: a server whose streams hang is told from one that answers, though all else works."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
from tritonclient.grpc import service_pb2

from ocrvl_cli.liveness import liveness_check
from ocrvl_client.metrics import HttpResponse

Stream = Callable[[Iterator[bytes], grpc.ServicerContext], Iterator[bytes]]


def healthy(path: str, timeout: float, body: bytes | None = None) -> HttpResponse:
    return HttpResponse(200, "")


def dead(path: str, timeout: float, body: bytes | None = None) -> HttpResponse:
    raise ConnectionRefusedError("refused")


@contextmanager
def streaming(stream: Stream) -> Iterator[str]:
    """A server of gRPC streams alone."""
    methods = {"ModelStreamInfer": grpc.stream_stream_rpc_method_handler(stream)}
    handler = grpc.method_handlers_generic_handler("inference.GRPCInferenceService", methods)
    server = grpc.server(ThreadPoolExecutor(4), handlers=[handler])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


def answer(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
    asked = service_pb2.ModelInferRequest.FromString(next(requests))
    told = service_pb2.ModelInferResponse(model_name=asked.model_name)
    told.parameters["triton_final_response"].bool_param = True
    yield service_pb2.ModelStreamInferResponse(infer_response=told).SerializeToString()


def refuse(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
    context.abort(grpc.StatusCode.UNAVAILABLE, "This protocol is restricted")
    yield b""


def test_a_server_that_answers_streams_or_refuses_them_is_alive() -> None:
    for stream in (answer, refuse):
        with streaming(stream) as url:
            assert liveness_check(healthy, healthy, url, 60, seconds=20)() is None


def test_a_server_whose_streams_hang_is_not_though_everything_else_works() -> None:
    has_ended = threading.Event()

    def hang(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        has_ended.wait(20)
        yield b""

    with streaming(hang) as url:
        assert liveness_check(healthy, healthy, url, 60, seconds=0.3)() == "no answer on a gRPC stream within 0.3 s"
        has_ended.set()


def test_what_the_probe_finds_wrong_is_told() -> None:
    assert liveness_check(dead, dead, "127.0.0.1:1", 60)() == "no server: refused"
