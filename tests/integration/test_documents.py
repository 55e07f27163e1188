"""Whole documents through the real server: the embedded layout model and the nano checkpoint."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
from PIL import Image

from ocrvl.launcher.server import TritonServer
from ocrvl.wire import Model, Tensor
from ocrvl_client import Client, Document, InvalidRequest, Page, RequestCancelled
from perf.harness.documents import DrawnPage, Typesetter, write_pdf
from perf.harness.tensors import encode_inputs
from tests.support import images
from tests.support.streams import metric, wait_for
from training.common.measure import character_score

IN_FLIGHT = "ocrvl_engine_images_in_flight"
QUICK: dict[str, Any] = {"max_new_tokens": 4}
"""Where what is read does not matter."""

UNHURRIED: dict[str, Any] = {"max_new_tokens": 40}
"""Where it does not matter either, but a page has to take a while."""


@pytest.fixture(scope="module")
def pages() -> list[DrawnPage]:
    """Two columns each, whose lines are as long as nano can read."""
    typesetter = Typesetter(seed=4)
    return [typesetter.page(number, columns=2, figure=number == 2) for number in (1, 2)]


@pytest.fixture(scope="module")
def pdf(pages: Sequence[DrawnPage]) -> bytes:
    return write_pdf(pages)


@pytest.fixture(scope="module")
def document(server: TritonServer, pdf: bytes) -> Document:
    with Client(server.grpc_url) as client:
        return client.document(pdf, prettify_markdown=False)


def test_a_pdf_becomes_markdown_with_its_blocks_in_order(document: Document, pages: Sequence[DrawnPage]) -> None:
    assert [(page.index, page.error, page.warning) for page in document.pages] == [(0, "", ""), (1, "", "")]
    for page, drawn in zip(document.pages, pages, strict=True):
        paragraphs = [block.text for block in drawn.blocks if block.label == "text"]
        found = [b["block_content"] for b in page.content["parsing_res_list"] if b["block_label"] == "text"]
        assert character_score([" ".join(text.split()) for text in found], paragraphs) > 0.75
        assert page.markdown.startswith("## ")
    (name,) = document.pages[1].images
    assert name in document.markdown
    with Image.open(io.BytesIO(document.pages[1].images[name])) as image:
        assert image.format == "JPEG"
        assert image.width > 300


def test_both_protocols_and_the_stream_say_the_same(server: TritonServer, pdf: bytes) -> None:
    with Client(server.grpc_url) as client:
        document = client.document(pdf, prettify_markdown=False, **QUICK)
        *parts, whole = client.document_stream(pdf, prettify_markdown=False, **QUICK)
    with Client(server.http_url, protocol="http") as client:
        assert client.document(pdf, prettify_markdown=False, **QUICK) == document
    assert isinstance(whole, Document)
    assert whole.markdown == document.markdown
    assert [(part.done, part.total) for part in parts if isinstance(part, Page)] == [(1, 2), (2, 2)]
    assert [part.markdown for part in parts if isinstance(part, Page)] == [page.markdown for page in document.pages]


def test_the_layout_model_answers_for_itself(server: TritonServer, pages: Sequence[DrawnPage]) -> None:
    image = np.array([[images.encode(pages[0].image)]], dtype=object)
    options = np.array([[json.dumps({"layout_threshold": 0.5}).encode()]], dtype=object)
    pixels = np.array(pages[0].image)[None]
    with triton_grpc.InferenceServerClient(server.grpc_url) as client:
        by_file, by_pixels = (
            client.infer(Model.LAYOUT.value, encode_inputs({**tensors, Tensor.OPTIONS: options}))
            for tensors in ({Tensor.IMAGE: image}, {Tensor.PIXELS: pixels})
        )
        with pytest.raises(Exception, match="expected either image or pixels"):
            client.infer(Model.LAYOUT.value, encode_inputs({Tensor.OPTIONS: options}))
        wrong = np.array([[b'{"threshold": 1}']], dtype=object)
        with pytest.raises(Exception, match="unknown key 'threshold'"):
            client.infer(Model.LAYOUT.value, encode_inputs({Tensor.IMAGE: image, Tensor.OPTIONS: wrong}))
    for name in (Tensor.LABEL, Tensor.SCORE, Tensor.BOX):
        np.testing.assert_array_equal(by_file.as_numpy(name.value), by_pixels.as_numpy(name.value))
    assert by_file.as_numpy(Tensor.LABEL.value).ravel().tolist().count(b"text") >= 8


@pytest.mark.parametrize(
    ("file", "options", "reason"),
    [
        (b"%PDF-1.7 nothing", {}, "the PDF is damaged"),
        (b"hello", {}, "neither a PDF nor an image in a format"),
        (None, {"pages": "3"}, "'3' not found, the file has 2 pages"),
        (None, {"dpi": "high"}, "dpi"),
    ],
    ids=["damaged", "text", "no such page", "no number"],
)
def test_what_cannot_be_read_is_refused_with_the_reason(
    server: TritonServer, pdf: bytes, file: bytes | None, options: dict[str, Any], reason: str
) -> None:
    with Client(server.grpc_url) as client:
        with pytest.raises(InvalidRequest, match=reason):
            client.document(pdf if file is None else file, **options)
        with pytest.raises(InvalidRequest, match=reason):
            list(client.document_stream(pdf if file is None else file, **options))


def test_a_stream_that_is_closed_ends_its_blocks(server: TritonServer, pdf: bytes) -> None:
    wait_for(lambda: metric(server, IN_FLIGHT) == 0)
    with Client(server.grpc_url) as client:
        stream = client.document_stream(pdf, **UNHURRIED)
        next(stream)
        stream.close()
    wait_for(lambda: metric(server, "ocrvl_documents_open") == 0 and metric(server, IN_FLIGHT) == 0)


def test_a_document_can_be_given_a_time(server: TritonServer, pdf: bytes) -> None:
    with Client(server.grpc_url) as client, pytest.raises(RequestCancelled, match="timeout_ms has passed"):
        client.document(pdf, timeout_ms=700)
    wait_for(lambda: metric(server, IN_FLIGHT) == 0)


def test_a_line_is_read_while_a_long_document_is(server: TritonServer, pdf: bytes, png: bytes) -> None:
    with Client(server.grpc_url) as client, Client(server.grpc_url) as other:
        stream = client.document_stream(pdf, **UNHURRIED)
        next(stream)
        assert other.read(png).text == "Soup of the day"
        stream.close()


def test_the_command_writes_markdown_json_images_and_pages(server: TritonServer, pdf: bytes, tmp_path: Path) -> None:
    file = tmp_path / "report.pdf"
    file.write_bytes(pdf)
    out = tmp_path / "out"
    command = [str(Path(sys.executable).parent / "ocrvl"), "read", str(file), "--url", server.grpc_url]
    options = ["--options", json.dumps(QUICK)]
    done = subprocess.run(
        [*command, *options, "-o", str(out), "--pages", "2"], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    folder = out / "report"
    assert sorted(done.stdout.splitlines()) == [str(folder / "report.json"), str(folder / "report.md")]
    (page,) = json.loads((folder / "report.json").read_text("utf-8"))
    assert page["page_index"] == 1
    (crop,) = (folder / "imgs").iterdir()
    assert f"imgs/{crop.name}" in (folder / "report.md").read_text("utf-8")
    with Image.open(folder / "page_0002.jpg") as image:
        assert image.size == (page["width"], page["height"])

    shown = subprocess.run(
        [*command, *options, "--pages", "1"], capture_output=True, text=True, timeout=120, check=False
    )
    assert shown.stdout.startswith("## ")

    file.write_bytes(b"%PDF-1.4 damaged")
    bad = subprocess.run([*command, "-o", str(out)], capture_output=True, text=True, timeout=120, check=False)
    assert bad.returncode == 1
    assert "report.pdf: the PDF is damaged" in bad.stderr
    assert (folder / "report.md").is_file()
