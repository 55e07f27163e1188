"""The gateway in front of the real server: with OpenAI's and PaddleOCR's clients, and a real browser."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from paddlex.inference.serving.infra.models import AIStudioNoResultResponse, AIStudioResultResponse
from paddlex.inference.serving.schemas import paddleocr_vl as official
from playwright.sync_api import expect

from ocrvl.launcher.server import TritonServer
from ocrvl_client import Client
from ocrvl_gateway.app import create_app
from ocrvl_gateway.reader import connect
from ocrvl_gateway.settings import GatewaySettings
from perf.harness.documents import Typesetter, write_pdf
from tests.support.browser import SCREENSHOTS, launch_browser, needs_browser
from tests.support.gateways import chat, serve_app
from tests.support.streams import metric, wait_for
from training.common.measure import character_score

IN_FLIGHT = "ocrvl_engine_images_in_flight"
WAIT_SECONDS = 120.0
LONG: dict[str, Any] = {
    "response_format": {
        "type": "json_schema",
        "json_schema": {"schema": {"type": "string", "pattern": "^[a-z]{3000}$"}},
    }
}
"""What takes seconds for an image of anything."""


@pytest.fixture(scope="module")
def gateway(server: TritonServer) -> Iterator[str]:
    settings = GatewaySettings(server=[server.grpc_url], max_pages=2)
    with serve_app(lambda: create_app(settings, connect(settings))) as url:
        yield url


@pytest.fixture(scope="module")
def pdf() -> bytes:
    typesetter = Typesetter(seed=4)
    return write_pdf([typesetter.page(number, columns=2, figure=number == 2) for number in (1, 2)])


@pytest.fixture
def client(gateway: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{gateway}/v1", api_key="none", max_retries=0) as client:
        yield client


def url_of(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()


def test_openais_client_reads_what_ours_reads(client: openai.OpenAI, server: TritonServer, png: bytes) -> None:
    answer = client.chat.completions.create(**chat("OCR:", url_of(png)), temperature=0, max_completion_tokens=8192)
    with Client(server.grpc_url) as ours:
        reading = ours.read(png, raw=True)
    (choice,) = answer.choices
    assert choice.message.content == reading.text == "Soup of the day"
    assert choice.finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == reading.num_input_tokens
    assert answer.usage.completion_tokens == reading.num_output_tokens


def test_a_stream_puts_the_same_text_together(client: openai.OpenAI, png: bytes) -> None:
    stream = client.chat.completions.create(
        **chat("OCR:", url_of(png)), stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "Soup of the day"
    assert sum(bool(chunk.choices and chunk.choices[0].delta.content) for chunk in chunks) > 2
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens > 2


def test_a_schema_shapes_the_text(client: openai.OpenAI, png: bytes) -> None:
    response_format: Any = {
        "type": "json_schema",
        "json_schema": {"name": "drink", "schema": {"enum": ["tea", "milk"]}},
    }
    answer = client.chat.completions.create(**chat("Which drink?", url_of(png)), response_format=response_format)
    assert answer.choices[0].message.content in ('"tea"', '"milk"')


def test_errors_are_openais_own_classes(client: openai.OpenAI, png: bytes) -> None:
    with pytest.raises(openai.BadRequestError, match="image 0"):
        client.chat.completions.create(**chat("OCR:", url_of(b"hello")))
    with pytest.raises(openai.BadRequestError, match="min_pixels") as refused:
        client.chat.completions.create(
            **chat("OCR:", url_of(png)), extra_body={"mm_processor_kwargs": {"min_pixels": 1}}
        )
    assert refused.value.code == "invalid_value"
    with pytest.raises(openai.NotFoundError, match="not served"):
        client.chat.completions.create(**{**chat("OCR:", url_of(png)), "model": "gpt-4o"})


def test_paddleocrs_client_runs_unchanged(gateway: str, png: bytes, tmp_path: Path) -> None:
    from paddleocr import PaddleOCRVL

    file = tmp_path / "line.png"
    file.write_bytes(png)
    pipeline = PaddleOCRVL(vl_rec_backend="vllm-server", vl_rec_server_url=f"{gateway}/v1", use_layout_detection=False)
    # nano was trained on smaller images than those that PaddleOCR enlarges everything to
    (page,) = pipeline.predict(str(file), prompt_label="ocr", min_pixels=3136)
    texts = [block.content for block in page["parsing_res_list"]]
    assert character_score(texts, ["Soup of the day"]) > 0.9


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_disconnects_cancels_its_request_in_the_engine(
    stream: bool, gateway: str, server: TritonServer, png: bytes
) -> None:
    wait_for(lambda: metric(server, IN_FLIGHT) == 0)

    async def leave() -> None:
        async with httpx.AsyncClient(timeout=WAIT_SECONDS) as http:
            body = chat("OCR:", url_of(png), stream=stream, **LONG)

            async def ask() -> None:
                async with http.stream("POST", f"{gateway}/v1/chat/completions", json=body) as answer:
                    async for _ in answer.aiter_bytes():
                        pass

            task = asyncio.create_task(ask())
            await asyncio.to_thread(wait_for, lambda: metric(server, IN_FLIGHT) == 1)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    asyncio.run(leave())
    wait_for(lambda: metric(server, IN_FLIGHT) == 0)


def test_layout_parsing_answers_as_the_official_service(gateway: str, pdf: bytes) -> None:
    answer = httpx.post(
        f"{gateway}/layout-parsing",
        json={"file": base64.b64encode(pdf).decode(), "fileType": 0, "maxNewTokens": 40, "logId": "7"},
        timeout=WAIT_SECONDS,
    )
    assert answer.status_code == 200, answer.text
    parsed = AIStudioResultResponse[official.InferResult].model_validate(answer.json())
    info = parsed.result.dataInfo
    first, second = parsed.result.layoutParsingResults
    assert (parsed.logId, info.type, info.numPages) == ("7", "pdf", 2)
    assert first.markdown.text.startswith("## ")
    assert second.markdown.images is not None
    assert all(name in second.markdown.text for name in second.markdown.images)
    for result in (first, second):
        assert result.outputImages is not None
        for image in (result.inputImage, *result.outputImages.values()):
            assert image is not None
            assert base64.b64decode(image).startswith(b"\xff\xd8")
    assert first.prunedResult["width"] == info.pages[0].width

    pages = [{"prunedResult": one.prunedResult, "markdownImages": one.markdown.images} for one in (first, second)]
    restructured = httpx.post(
        f"{gateway}/restructure-pages", json={"pages": pages, "concatenatePages": True}, timeout=WAIT_SECONDS
    )
    assert restructured.status_code == 200, restructured.text
    whole = AIStudioResultResponse[official.RestructurePagesResult].model_validate(restructured.json())
    (only,) = whole.result.layoutParsingResults
    assert second.markdown.text.splitlines()[-1] in only.markdown.text


def test_more_pages_than_the_gateway_takes_are_refused_before_they_are_read(gateway: str) -> None:
    typesetter = Typesetter(seed=1)
    three = write_pdf([typesetter.page(number) for number in (1, 2, 3)])
    body = {"file": base64.b64encode(three).decode(), "fileType": 0}
    answer = httpx.post(f"{gateway}/layout-parsing", json=body, timeout=WAIT_SECONDS)
    assert answer.status_code == 422
    assert "3 pages, at most 2" in AIStudioNoResultResponse.model_validate(answer.json()).errorMsg


def test_a_gateway_without_its_server_says_so(png: bytes) -> None:
    settings = GatewaySettings(server=["localhost:1"])
    with serve_app(lambda: create_app(settings, connect(settings))) as url:
        assert httpx.get(f"{url}/healthz").status_code == 200
        assert httpx.get(f"{url}/readyz").status_code == 503
        answer = httpx.post(f"{url}/v1/chat/completions", json=chat("OCR:", url_of(png)))
    assert answer.status_code == 503
    assert "localhost:1" in answer.json()["error"]["message"]
    assert answer.headers["retry-after"]


@needs_browser
def test_the_page_reads_a_pdf_in_a_browser(gateway: str, pdf: bytes) -> None:
    with launch_browser() as browser:
        web = browser.new_page(viewport={"width": 1280, "height": 860})
        web.goto(gateway)
        web.set_input_files("#file", {"name": "report.pdf", "mimeType": "application/pdf", "buffer": pdf})
        expect(web.locator("#status")).to_contain_text("done: 2 pages", timeout=1000 * WAIT_SECONDS)
        assert web.locator(".box").count() == web.locator(".block").count() > 10
        web.locator(".sheet").nth(1).locator(".box").nth(2).click()
        chosen = web.locator(".block.on")
        expect(chosen).to_be_in_viewport()
        assert len(chosen.inner_text().split()) > 10
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        web.screenshot(path=SCREENSHOTS / "report.png")
