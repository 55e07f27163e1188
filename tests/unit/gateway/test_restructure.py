"""`/restructure-pages`: PaddleX's rules, in a worker without network and with limits, which can be killed."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import json
import os
import socket
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docx
import pytest
from paddlex.inference.serving.infra.models import AIStudioResultResponse
from paddlex.inference.serving.schemas import paddleocr_vl as official
from PIL import Image

from ocrvl_gateway.errors import BadRequest, Refusal
from ocrvl_gateway.paddle.restructure_pool import RestructurePool
from tests.support.doubles import WAIT_SECONDS, until
from tests.support.gateways import GatewayClient, ScriptedReader, make_app

RESTRUCTURE = "/restructure-pages"


def pruned(*blocks: tuple[str, str]) -> dict[str, Any]:
    listed = [
        {"block_label": label, "block_content": text, "block_bbox": [0, 40 * n, 90, 40 * n + 30], "block_id": n}
        for n, (label, text) in enumerate(blocks)
    ]
    settings = {"use_layout_detection": True, "use_doc_preprocessor": False, "use_chart_recognition": False}
    whole = {"width": 100, "height": 400, "page_count": 2, "model_settings": settings, "layout_det_res": {"boxes": []}}
    return {**whole, "parsing_res_list": listed}


ROW = "<table><tbody><tr><td>{}</td><td>{}</td></tr></tbody></table>"


def test_pages_become_parts_of_one_document_by_paddlex_own_rules(client: GatewayClient) -> None:
    pages = [
        {
            "prunedResult": pruned(("doc_title", "Tea"), ("text", "Two cups.")),
            "markdownImages": {"imgs/a.jpg": "AAAA"},
        },
        {"prunedResult": pruned(("paragraph_title", "1 Milk"), ("table", ROW.format("Milk", "3")))},
    ]
    answer = client.post(RESTRUCTURE, json={"pages": pages})
    assert answer.status_code == 200, answer.text
    parsed = AIStudioResultResponse[official.RestructurePagesResult].model_validate(answer.json())
    first, second = parsed.result.layoutParsingResults
    assert first.markdown.text.startswith("# Tea")
    assert first.markdown.images == {"imgs/a.jpg": "AAAA"}
    assert "Milk" in second.markdown.text
    assert "input_path" not in first.prunedResult

    whole = client.post(RESTRUCTURE, json={"pages": pages, "concatenatePages": True}).json()["result"]
    (only,) = whole["layoutParsingResults"]
    assert "# Tea" in only["markdown"]["text"]
    assert "Milk" in only["markdown"]["text"]
    assert only["markdown"]["images"] == {"imgs/a.jpg": "AAAA"}


PRINTED = "List<String> is 2**3 of 4**5 for $5 or $6"


def test_what_is_printed_is_shown_in_the_document_of_the_pages(client: GatewayClient) -> None:
    request = {"pages": [{"prunedResult": pruned(("text", PRINTED))}], "outputFormats": ["docx"]}
    (only,) = client.post(RESTRUCTURE, json=request).json()["result"]["layoutParsingResults"]
    assert only["markdown"]["text"] == r"List\<String> is 2\*\*3 of 4\*\*5 for $5 or $6"
    assert only["prunedResult"]["parsing_res_list"][0]["block_content"] == PRINTED
    word = docx.Document(io.BytesIO(base64.b64decode(only["exports"]["docx"]["content"])))
    assert PRINTED in [paragraph.text for paragraph in word.paragraphs]


def test_contents_that_were_formatted_are_not_escaped_again(client: GatewayClient) -> None:
    content = pruned(("text", r"List\<String>"))
    content["model_settings"]["format_block_content"] = True
    answer = client.post(RESTRUCTURE, json={"pages": [{"prunedResult": content}]})
    (only,) = answer.json()["result"]["layoutParsingResults"]
    assert only["markdown"]["text"] == r"List\<String>"


UNREAD = {"prunedResult": {"error": "it could not be drawn"}}


def test_pages_that_could_not_be_read_come_back_in_their_places(client: GatewayClient) -> None:
    read = {"prunedResult": {**pruned(("text", "Two cups.")), "warning": "72 dots an inch"}}
    answer = client.post(RESTRUCTURE, json={"pages": [UNREAD, read, UNREAD]})
    assert answer.status_code == 200, answer.text
    results = answer.json()["result"]["layoutParsingResults"]
    assert [one["markdown"]["text"] for one in results] == ["", "Two cups.", ""]
    assert [one["prunedResult"].get("error") for one in results] == [
        "it could not be drawn",
        None,
        "it could not be drawn",
    ]
    assert results[1]["prunedResult"]["warning"] == "72 dots an inch"


@pytest.mark.parametrize(("read", "text"), [([{"prunedResult": pruned(("text", "Two cups."))}], "Two cups."), ([], "")])
def test_one_document_of_pages_says_which_are_missing(read: list[Any], text: str, client: GatewayClient) -> None:
    (only,) = client.post(RESTRUCTURE, json={"pages": [UNREAD, *read], "concatenatePages": True}).json()["result"][
        "layoutParsingResults"
    ]
    assert only["markdown"]["text"] == text
    assert only["prunedResult"]["warning"] == "page 1: it could not be drawn"


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"error": ""},
        {"parsing_res_list": [], "model_settings": 1},
        {**pruned(), "parsing_res_list": [{"block_label": "text"}]},
    ],
)
def test_pages_that_layout_parsing_never_sent_are_refused(content: dict[str, Any], client: GatewayClient) -> None:
    answer = client.post(RESTRUCTURE, json={"pages": [{"prunedResult": content}]})
    assert answer.status_code == 422, answer.text
    assert "layout-parsing" in answer.json()["errorMsg"]


CROP = "img_in_image_box_1_2_30_40.jpg"


def with_crop(value: str, name: str = f"imgs/{CROP}") -> dict[str, Any]:
    """A page of one image."""
    content = pruned(("image", ""))
    content["parsing_res_list"][0]["block_bbox"] = [1, 2, 30, 40]
    return {"prunedResult": content, "markdownImages": {name: value}}


def encoded(size: tuple[int, int] = (29, 38), kind: str = "JPEG") -> str:
    data = io.BytesIO()
    Image.new("1" if kind != "JPEG" else "L", size).save(data, kind)
    return base64.b64encode(data.getvalue()).decode()


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("name", [f"imgs/{CROP}", f"imgs/0007_{CROP}"])
@pytest.mark.parametrize("together", [False, True])
def test_a_word_document_has_the_images_that_came_as_base64(
    kind: str, name: str, together: bool, client: GatewayClient
) -> None:
    image = encoded(kind=kind)
    body = {"pages": [with_crop(image, name)], "outputFormats": ["docx"], "concatenatePages": together}
    answer = client.post(RESTRUCTURE, json=body)
    assert answer.status_code == 200, answer.text
    (result,) = answer.json()["result"]["layoutParsingResults"]
    assert name in result["markdown"]["text"]
    assert result["markdown"]["images"] == {name: image}
    word = zipfile.ZipFile(io.BytesIO(base64.b64decode(result["exports"]["docx"]["content"])))
    media = [word.read(file) for file in word.namelist() if file.startswith("word/media/")]
    assert media == [base64.b64decode(image)]


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A socket that could be connected to."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        yield listening


def has_no_connection(listener: socket.socket) -> bool:
    """Whether nobody has connected to it."""
    try:
        listener.accept()
    except BlockingIOError:
        return True
    return False


@pytest.mark.parametrize(
    "value",
    [
        "http://127.0.0.1:{port}/a.png",
        " http://127.0.0.1:{port}/a.png",
        "HTTPS://127.0.0.1:{port}/a.png",
        "data:image/png;base64,http://127.0.0.1:{port}",
        "data:image/png,http://127.0.0.1:{port}",
        "ftp://127.0.0.1:{port}/a.png",
        "file:///etc/hostname",
        "../../etc/hostname",
        "",
        "data:;base64,",
    ],
)
@pytest.mark.parametrize("more", [{}, {"outputFormats": ["docx"]}])
def test_images_are_base64_and_never_a_url_or_a_path(
    value: str, more: dict[str, Any], listener: socket.socket, client: GatewayClient
) -> None:
    page = with_crop(value.format(port=listener.getsockname()[1]))
    answer = client.post(RESTRUCTURE, json={"pages": [page], **more})
    assert answer.status_code == 422
    assert "pages[0].markdownImages" in answer.json()["errorMsg"]
    assert has_no_connection(listener)


def test_urls_in_texts_and_blocks_are_not_fetched(listener: socket.socket, client: GatewayClient) -> None:
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/a.png"
    tags = f'<img src="{url}"><table><tr><td><img src="{url}"></td></tr></table><!DOCTYPE a SYSTEM "{url}">${url}$'
    content = pruned(("text", tags), ("table", tags), ("image", url), ("chart", url), ("formula", f"${tags}$"))
    for block in content["parsing_res_list"]:
        block["image"] = {"path": url, "img": url}
    answer = client.post(RESTRUCTURE, json={"pages": [{"prunedResult": content}] * 2, "outputFormats": ["docx"]})
    assert answer.status_code == 200, answer.text
    assert has_no_connection(listener)


@pytest.mark.parametrize(
    ("image", "words"), [("AAAA", "expected a JPEG or PNG"), (encoded((20_000, 2_001), "PNG"), "pixels")]
)
def test_an_image_that_is_broken_or_too_large_is_refused_where_a_document_shows_it(
    image: str, words: str, client: GatewayClient
) -> None:
    answer = client.post(RESTRUCTURE, json={"pages": [with_crop(image)], "outputFormats": ["docx"]})
    assert answer.status_code == 422
    assert words in answer.json()["errorMsg"]


@pytest.mark.parametrize("kind", ["text/plain", "application/octet-stream", ""])
def test_a_body_of_another_content_type_is_refused(kind: str, client: GatewayClient) -> None:
    answer = client.post(RESTRUCTURE, content=b'{"pages": []}', headers={"Content-Type": kind})
    assert answer.status_code == 422
    assert "application/json" in answer.json()["errorMsg"]


def run_all(*bodies: str, timeout: float = WAIT_SECONDS) -> list[Any]:
    """The answers of workers of `tests.support.forked` to these bodies, one after another, or their refusals."""

    async def run() -> list[Any]:
        pool = RestructurePool(timeout, module="tests.support.forked")
        answers: list[Any] = []
        for body in bodies:
            try:
                answered = await pool.run(body.encode(), "id")
                answers.append(json.loads(answered) if isinstance(answered, bytes) else answered)
            except Refusal as refusal:
                answers.append(refusal)
        await pool.close()
        return answers

    return asyncio.run(run())


def test_a_worker_opens_no_connection_resolves_no_name_and_starts_no_program(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    actions = ["connect", "requests", "urllib", "look-up", "program", "shell"]
    for action, answered in zip(actions, run_all(*(f"{action} {port}" for action in actions)), strict=True):
        assert "is not allowed in this process" in answered["message"], (action, answered)
    assert has_no_connection(listener)


def test_a_worker_has_bounded_memory_and_serves_one_request() -> None:
    first, memory, ended, last = run_all("pid", "memory", "end", "pid")
    assert memory["error"] == "MemoryError"
    assert isinstance(ended, BadRequest)
    assert first["done"] != last["done"]


def test_a_request_that_takes_too_long_is_refused_and_its_worker_killed(tmp_path: Path) -> None:
    (refusal,) = run_all(f"forever {tmp_path / 'pid'}", timeout=0.5)
    assert isinstance(refusal, BadRequest)
    assert "0.5 s" in refusal.message


def test_the_worker_of_a_cancelled_request_is_killed_and_its_files_removed(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv("TMPDIR", str(tmp_path))

    async def leave() -> None:
        pool = RestructurePool(WAIT_SECONDS, module="tests.support.forked")
        await pool.run(b"file", "id")
        pid_file = tmp_path / "pid"
        task = asyncio.create_task(pool.run(f"forever {pid_file}".encode(), "id"))
        await until(lambda: pid_file.exists() and pid_file.read_text("ascii"))
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        pid = int(pid_file.read_text("ascii"))
        await until(lambda: not Path(f"/proc/{pid}").exists())
        await until(lambda: not list(tmp_path.glob("ocrvl-restructure-*")))
        await pool.close()

    asyncio.run(leave())


def test_where_paddlex_is_not_installed_the_client_is_told_what_is_missing(tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "paddlex.py").write_text("raise ImportError('no', name='paddlex')\n", "utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    client = GatewayClient(make_app(ScriptedReader(), restructure_pool=RestructurePool(WAIT_SECONDS)))
    answer = client.post(RESTRUCTURE, json={"pages": []})
    assert answer.status_code == 501
    assert "paddlex is not installed" in answer.json()["errorMsg"]
