"""Receipts through the real server: the embedded detector, the nano checkpoint, and the embedded fields."""

from __future__ import annotations

import asyncio
import base64
import csv
import io
import subprocess
import sys
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

import httpx
import jsonschema
import pytest
from PIL import Image

from ocrvl.launcher.server import TritonServer
from ocrvl.schemas import RECEIPT, read_schema
from ocrvl.wire import FinishReason, Model
from ocrvl_client import (
    AsyncClient,
    Client,
    InvalidRequest,
    OcrvlError,
    Receipt,
    ReceiptOutcome,
    RequestCancelled,
    ServerUnavailable,
)
from ocrvl_gateway.app import create_app
from ocrvl_gateway.reader import connect
from ocrvl_gateway.settings import GatewaySettings
from tests.support import images
from tests.support.full_engine import full_engine, is_idle
from tests.support.gateways import serve_app
from tests.support.streams import cancel, metric, wait_for
from training.fields.world import DrawnReceipt, ReceiptWorld
from training.nano.phrases import BUILT_IN_WORDS
from training.nano.texts import Split

OCRVL = str(Path(sys.executable).parent / "ocrvl")
SMALL = images.encode(Image.new("RGB", (64, 64), "white"))


@pytest.fixture(scope="module")
def drawn() -> DrawnReceipt:
    """Training has seen none of its words, shapes and fonts."""
    return ReceiptWorld(Random(11), BUILT_IN_WORDS, Split.HELD_OUT).receipt()


@pytest.fixture(scope="module")
def image(drawn: DrawnReceipt) -> bytes:
    return images.encode(drawn.image)


@pytest.fixture(scope="module")
def receipt(server: TritonServer, image: bytes) -> Receipt:
    with Client(server.grpc_url) as client:
        return client.receipt(image, visualize=True)


def test_a_receipt_s_fields_are_those_that_are_printed_on_it(receipt: Receipt, drawn: DrawnReceipt) -> None:
    jsonschema.validate(receipt.json, read_schema(RECEIPT))
    fields = receipt.json["fields"]
    found = {name: fields[name]["value"] for name in ("date", "currency", "total") if fields[name] is not None}
    assert found == {name: drawn.truth.values[name] for name in ("date", "currency", "total")}
    assert [item["name"]["value"] for item in fields["items"]] == [name for name, _, _ in drawn.truth.items]
    assert all(line.finish_reason is not FinishReason.ERROR for line in receipt.lines)
    assert receipt.drawing.startswith(b"\xff\xd8")
    boxes = [fields[name]["box"] for name in found] + [line.box for line in receipt.lines]
    for left, top, right, bottom in boxes:
        assert 0 <= left < right <= drawn.image.width
        assert 0 <= top < bottom <= drawn.image.height


def test_both_protocols_and_many_at_once_say_the_same(server: TritonServer, image: bytes, receipt: Receipt) -> None:
    async def read() -> list[ReceiptOutcome]:
        async with AsyncClient(server.http_url, protocol="http") as client:
            return [outcome async for outcome in client.receipts_many([image, b"none"])]

    first, second = asyncio.run(read())
    assert first.result().json == receipt.json
    assert isinstance(second.error, InvalidRequest)


def test_the_command_line_and_the_gateway_say_the_same(
    server: TritonServer, image: bytes, receipt: Receipt, tmp_path: Path
) -> None:
    (tmp_path / "a.png").write_bytes(image)
    command = [
        OCRVL,
        "read",
        "--receipt",
        str(tmp_path / "a.png"),
        "--url",
        server.grpc_url,
        "-o",
        str(tmp_path / "out"),
    ]
    subprocess.run(command, check=True, timeout=120)
    (row,) = csv.DictReader(io.StringIO((tmp_path / "out/receipts.csv").read_text("utf-8-sig")))
    assert receipt.total is not None
    assert (row["total"], row["items"]) == (str(receipt.total.value), str(len(receipt.items)))
    assert (tmp_path / "out/a.fields.jpg").read_bytes() == receipt.drawing
    settings = GatewaySettings(server=[server.grpc_url])
    with serve_app(lambda: create_app(settings, connect(settings))) as url:
        answer = httpx.post(f"{url}/receipts", json={"image": base64.b64encode(image).decode()}, timeout=120)
    assert answer.json() == receipt.json


def test_an_image_without_text_has_no_fields(server: TritonServer) -> None:
    with Client(server.grpc_url) as client:
        receipt = client.receipt(images.encode(Image.new("RGB", (300, 400), "white")))
    jsonschema.validate(receipt.json, read_schema(RECEIPT))
    assert not receipt.lines
    assert not receipt.items
    assert receipt.company is None
    assert "no text was found on the image" in receipt.warnings


@pytest.mark.parametrize(
    ("file", "options", "reason"),
    [
        (b"", {}, "it has no bytes"),
        (b"%PDF-1.7", {}, "not an image in a format that is read"),
        (SMALL[:60], {}, "damaged"),
        (SMALL, {"task": "ocr"}, "unknown key 'task'"),
        (SMALL, {"max_tokens": 0}, "max_tokens"),
    ],
    ids=["empty", "PDF", "cut off", "unknown option", "no tokens"],
)
def test_what_cannot_be_read_is_refused_with_the_reason(
    server: TritonServer, file: bytes, options: dict[str, Any], reason: str
) -> None:
    with Client(server.grpc_url) as client, pytest.raises(InvalidRequest, match=reason):
        client.receipt(file, **options)


def test_a_full_engine_holds_receipts_which_callers_can_end_and_a_full_queue_refuses_them(
    server: TritonServer, png: bytes, image: bytes
) -> None:
    token = uuid.uuid4().hex

    async def give_up() -> None:
        async with AsyncClient(server.grpc_url) as client:
            task = asyncio.ensure_future(client.receipt(image))
            await asyncio.to_thread(wait_for, lambda: metric(server, "ocrvl_receipt_lines_in_flight") > 0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def storm() -> Counter[str]:
        async with AsyncClient(server.grpc_url, retry=None) as client:
            outcomes: Counter[str] = Counter()

            async def ask() -> None:
                try:
                    await client.receipt(png, cancel_token=token)
                except OcrvlError as error:
                    outcomes[f"{type(error).__name__} {str(error).rpartition('] ')[2]}"] += 1

            await asyncio.gather(*(ask() for _ in range(100)))
            return outcomes

    def ended(outcome: str) -> float:
        return metric(server, "ocrvl_receipts_total", outcome=outcome)

    before = ended("cancelled")
    with ThreadPoolExecutor() as pool, full_engine(server, png), Client(server.grpc_url) as client:
        with pytest.raises(RequestCancelled, match="timeout_ms has passed"):
            client.receipt(image, timeout_ms=500)
        asyncio.run(give_up())
        wait_for(lambda: ended("cancelled") == before + 2)
        begun = pool.submit(asyncio.run, storm())
        # those that were let in wait for the engine, the others in the queue
        wait_for(lambda: metric(server, "nv_inference_pending_request_count", model=Model.RECEIPT) > 0)
        assert not begun.done()
        # the engine remembers it for what comes later
        cancel(server, token)
    outcomes = begun.result()
    assert set(outcomes) == {
        f"{ServerUnavailable.__name__} Exceeds maximum queue size",
        f"{RequestCancelled.__name__} cancelled by its token",
    }
    assert outcomes.total() == 100
    assert ended("internal") == 0
    wait_for(lambda: is_idle(server) and metric(server, "ocrvl_receipts_open") == 0)


def test_the_time_of_a_receipt_is_known_by_stage(server: TritonServer, receipt: Receipt) -> None:
    assert receipt.seconds
    for stage in ("detect", "read", "fields"):
        wait_for(lambda: metric(server, "ocrvl_receipt_seconds_count", stage=stage) > 0)  # noqa: B023 - called at once
        assert metric(server, "ocrvl_receipt_seconds_sum", stage=stage) > 0
