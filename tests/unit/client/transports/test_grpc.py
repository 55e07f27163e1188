"""`ocrvl_client._transports`: calls over gRPC end as the server can bear it, wherever their callers leave them."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, closing, contextmanager
from typing import Any

import grpc
import numpy as np
import pytest
from tritonclient.grpc import service_pb2

from ocrvl.wire import FinishReason, Tensor
from ocrvl_client import AsyncClient, Client, Reading, RequestCancelled, RequestTimeout, ServerUnavailable
from tests.support.transports import texts

KINDS = pytest.mark.parametrize("kind", [Client, AsyncClient], ids=lambda kind: kind.__name__)
TIMEOUT = 20.0


def encode(tensors: dict[Tensor, Any], *, is_last: bool = False, error: str = "") -> bytes:
    """A response on a stream."""
    answer = service_pb2.ModelInferResponse(model_name="ocr_stream", id="1")
    answer.parameters["triton_final_response"].bool_param = is_last
    for name, array in tensors.items():
        is_text = array.dtype == object
        answer.outputs.add(name=name.value, datatype="BYTES" if is_text else "INT32", shape=array.shape)
        raw = b"".join(struct.pack("<I", len(one)) + one for one in array) if is_text else array.tobytes()
        answer.raw_output_contents.append(raw)
    message = service_pb2.ModelStreamInferResponse(infer_response=answer, error_message=error)
    return bytes(message.SerializeToString())


PIECE = encode({Tensor.TEXT: texts("a"), Tensor.INDEX: np.array([0], np.int32)})


READING = encode(
    {
        Tensor.TEXT: texts(""),
        Tensor.FULL_TEXT: texts("a"),
        Tensor.INDEX: np.array([0], np.int32),
        Tensor.FINISH_REASON: texts("stop"),
        Tensor.NUM_INPUT_TOKENS: np.array([7], np.int32),
        Tensor.NUM_OUTPUT_TOKENS: np.array([1], np.int32),
        Tensor.ERROR: texts(""),
        Tensor.WARNING: texts(""),
    }
)


class StreamingServer:
    """Streams pieces without an end, or the reading, and does what `cancel` asks. Says how its streams ended."""

    def __init__(self, *, endless: bool) -> None:
        self._endless = endless
        self.is_cancelled = threading.Event()
        self._is_over = threading.Event()
        self.has_begun = threading.Event()
        self.options: dict[str, Any] = {}
        self.tokens: list[str] = []
        self.was_broken_off: bool | None = None

    def infer(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        asked = service_pb2.ModelInferRequest.FromString(request)
        if asked.model_name != "cancel":
            return self._read(context)
        self.tokens.append(asked.raw_input_contents[0][4:].decode())
        self.is_cancelled.set()
        answer = service_pb2.ModelInferResponse(model_name="cancel")
        answer.outputs.add(name=Tensor.CANCELLED.value, datatype="INT32", shape=[1])
        answer.raw_output_contents.append(struct.pack("<i", 1))
        return bytes(answer.SerializeToString())

    def _read(self, context: grpc.ServicerContext) -> bytes:
        """Read an image until that is ended."""
        context.add_callback(self._is_over.set)
        self.has_begun.set()
        assert self.is_cancelled.wait(TIMEOUT)
        self.was_broken_off = not context.is_active()
        context.abort(grpc.StatusCode.INTERNAL, "[CANCELLED] ended by its token")
        raise AssertionError("abort raises")

    def stream(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        asked = service_pb2.ModelInferRequest.FromString(next(requests))
        raw = dict(zip([one.name for one in asked.inputs], asked.raw_input_contents, strict=True))
        self.options = json.loads(raw[Tensor.OPTIONS.value][4:])
        has_answered = threading.Event()

        def note_end() -> None:
            self.was_broken_off = not has_answered.is_set()
            self._is_over.set()

        context.add_callback(note_end)
        yield PIECE
        if self._endless:
            while context.is_active() and not self.is_cancelled.wait(0.01):
                yield PIECE
            yield encode({}, is_last=True, error="[CANCELLED] its caller went away")
        else:
            yield READING
            yield encode({}, is_last=True)
        # the stream ends when the caller has said that no request follows, as Triton's does
        has_answered.set()
        assert next(requests, None) is None

    def wait_for_end(self) -> None:
        assert self._is_over.wait(TIMEOUT), "the stream has not ended"


@contextmanager
def serving(*, endless: bool) -> Iterator[tuple[StreamingServer, str]]:
    double = StreamingServer(endless=endless)
    methods = {
        "ModelInfer": grpc.unary_unary_rpc_method_handler(double.infer),
        "ModelStreamInfer": grpc.stream_stream_rpc_method_handler(double.stream),
    }
    handler = grpc.method_handlers_generic_handler("inference.GRPCInferenceService", methods)
    server = grpc.server(ThreadPoolExecutor(4), handlers=[handler])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield double, f"127.0.0.1:{port}"
    finally:
        server.stop(1).wait()


def read_until(
    url: str, kind: type[Client] | type[AsyncClient], leave_at: type[str] | type[Reading], **options: Any
) -> str | Reading:
    """Open a stream and leave it at the first part of a kind, which is returned."""
    if kind is Client:
        with Client(url, timeout=TIMEOUT) as client, closing(client.stream(b"x", **options)) as parts:
            return next(part for part in parts if isinstance(part, leave_at))

    async def read() -> str | Reading:
        async with (
            AsyncClient(url, timeout=TIMEOUT) as client,
            aclosing(client.stream(b"x", **options)) as parts,
        ):
            while not isinstance(part := await anext(parts), leave_at):
                pass
            return part

    return asyncio.run(read())


@KINDS
def test_a_stream_that_is_left_at_its_last_part_has_ended_on_the_server(kind: type[Client] | type[AsyncClient]) -> None:
    with serving(endless=False) as (server, url):
        assert read_until(url, kind, Reading) == Reading("a", FinishReason.STOP, 7, 1)
        server.wait_for_end()
        assert server.was_broken_off is False
        assert not server.tokens


@KINDS
def test_a_stream_that_is_left_early_is_ended_by_its_token_and_read_to_its_end(
    kind: type[Client] | type[AsyncClient],
) -> None:
    with serving(endless=True) as (server, url):
        assert read_until(url, kind, str) == "a"
        server.wait_for_end()
        assert server.was_broken_off is False
        assert server.tokens == [server.options["cancel_token"]]


@KINDS
def test_a_stream_under_a_token_of_the_caller_s_is_broken_off_since_others_may_carry_it(
    kind: type[Client] | type[AsyncClient],
) -> None:
    with serving(endless=True) as (server, url):
        read_until(url, kind, str, cancel_token="shared")
        server.wait_for_end()
        assert server.was_broken_off is True
        assert not server.tokens


def test_a_task_that_is_cancelled_twice_while_it_waits_for_a_piece_does_not_break_its_stream_off() -> None:
    async def read(url: str) -> None:
        async with AsyncClient(url, timeout=TIMEOUT) as client:
            has_begun = asyncio.Event()

            async def follow() -> None:
                async for _ in client.stream(b"x"):
                    has_begun.set()

            following = asyncio.create_task(follow())
            await has_begun.wait()
            following.cancel()
            await asyncio.sleep(0)
            following.cancel()
            with pytest.raises(asyncio.CancelledError):
                await following

    with serving(endless=True) as (server, url):
        asyncio.run(read(url))
        server.wait_for_end()
        assert server.was_broken_off is False
        assert len(server.tokens) == 1


@KINDS
def test_a_stream_that_fails_has_ended_on_the_server(kind: type[Client] | type[AsyncClient]) -> None:
    with serving(endless=True) as (server, url):
        server.is_cancelled.set()
        with pytest.raises(RequestCancelled, match="went away"):
            read_until(url, kind, Reading)
        server.wait_for_end()
        assert server.was_broken_off is False


@pytest.mark.parametrize("how", ["cancelled", "too late"])
def test_an_abandoned_request_is_cancelled_by_its_token_and_not_broken_off(how: str) -> None:
    async def read(server: StreamingServer, url: str) -> None:
        async with AsyncClient(url, timeout=0.5 if how == "too late" else TIMEOUT, retry=None) as client:
            reading = asyncio.create_task(client.read(b"x"))
            assert await asyncio.to_thread(server.has_begun.wait, TIMEOUT)
            if how == "cancelled":
                reading.cancel()
            with pytest.raises(asyncio.CancelledError if how == "cancelled" else RequestTimeout):
                await reading

    with serving(endless=True) as (server, url):
        asyncio.run(read(server, url))
        server.wait_for_end()
        assert server.was_broken_off is False
        assert len(server.tokens) == 1


@KINDS
def test_a_stream_to_a_server_that_is_not_found_is_unavailable(kind: type[Client] | type[AsyncClient]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"127.0.0.1:{free.getsockname()[1]}"
    # again and again: whether the request or the news comes first differs from time to time
    for _ in range(20):
        with pytest.raises(ServerUnavailable):
            read_until(url, kind, Reading)
