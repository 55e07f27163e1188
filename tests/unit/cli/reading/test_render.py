"""`ocrvl_cli.reading.render` and `html`: results as text, Markdown, JSON and pages."""

from __future__ import annotations

import json
import re
from html import unescape
from typing import Any

import pytest

from ocrvl.wire import FinishReason, Task
from ocrvl_cli.reading.html import render_page
from ocrvl_cli.reading.read_plan import Format
from ocrvl_cli.reading.render import render_document, render_reading
from ocrvl_client import Document, Page, Reading

PDF, PNG = b"%PDF-1.7", b"\x89PNG"
MARKDOWN, HTML, TEXT, JSON = Format.MARKDOWN, Format.HTML, Format.TEXT, Format.JSON


def page(*blocks: dict[str, Any], images: dict[str, bytes] | None = None) -> Page:
    defaults = {"block_label": "text", "block_bbox": [0, 0, 1, 1], "block_content": ""}
    content = {"parsing_res_list": [{**defaults, **block} for block in blocks]}
    return Page(0, "", content, images or {}, "", "", 1, 1)


def test_text_of_a_document_is_its_blocks_with_tables_as_columns() -> None:
    table = "<table><tr><td>Tea</td><td>12</td></tr><tr><td>Milk</td><td>3</td></tr></table>"
    blocks = page({"block_content": "Menu"}, {"block_label": "table", "block_content": table}, {"block_content": " "})
    assert render_document(Document("# Menu"), [blocks], "a.pdf", TEXT) == "Menu\n\nTea\t12\nMilk\t3"


def test_json_of_a_document_is_one_line_with_its_markdown_and_pages() -> None:
    text = render_document(Document("# Menu\n\nTea"), [page({"block_content": "Tea"})], "a.pdf", JSON)
    assert "\n" not in text
    told = json.loads(text)
    assert (told["file"], told["markdown"], told["pages"][0]["page_index"]) == ("a.pdf", "# Menu\n\nTea", 0)


def test_json_of_an_image_has_its_counts() -> None:
    told = json.loads(render_reading(Reading("Tea", FinishReason.STOP, 7, 2), "a.png", JSON, Task.OCR))
    assert (told["file"], told["text"], told["num_output_tokens"]) == ("a.png", "Tea", 2)


def test_html_keeps_tables_and_has_its_images_inside() -> None:
    markdown = '# Tea\n\n<table border=1><tr><td colspan="2">A &amp; B</td></tr></table>\n\n<img src="imgs/a.jpg" />'
    html = render_document(Document(markdown), [page(images={"imgs/a.jpg": b"\xff"})], "a <b>.pdf", HTML)
    assert '<td colspan="2">A &amp; B</td>' in html
    assert 'src="data:image/jpeg;base64,/w=="' in html
    assert "<title>a &lt;b&gt;.pdf</title>" in html


@pytest.mark.parametrize(
    "markdown",
    [
        "<script>alert(1)</script>",
        '<img src="https://example.org/spy.png">',
        '<img src="imgs/unknown.jpg" onerror="alert(1)">',
        "[a](javascript:alert(1))",
        '<a href="data:text/html,alert(1)">a</a>',
        "<iframe src=//example.org></iframe>",
        "<svg onload=alert(1)>",
        "<math><mtext><style><img src=x onerror=alert(1)></style></mtext></math>",
        "$\\text{<img src=x onerror=alert(1)>}$",
        "$x\\href{javascript:alert(1)}{y}$",
        '<style>body { background: url("https://example.org") }</style>',
    ],
)
def test_html_has_nothing_that_runs_or_loads(markdown: str) -> None:
    _, _, body = render_page(markdown, "a", {}).partition("<body>")
    for word in ("<script", "<img src", "onerror=", "onload=", 'href="javascript', 'href="data', "<iframe", "<style"):
        assert word not in body, body


def test_html_has_formulas_as_mathml_and_prices_as_prices() -> None:
    body = render_page("It is $ x^2_1 \\\\ y $, $5 and $6, and\n\n$$\\frac{a}{b}$$", "a", {}).partition("<body>")[2]
    assert body.count("<math") == 2
    assert "<mfrac>" in body
    assert "$5 and $6" in body


def test_a_formula_that_is_no_latex_stays_what_it_is() -> None:
    assert "<code>" in render_page("$x_$", "a", {})


@pytest.mark.parametrize("text", ["List<String> is 2**3", "Use <b>bold</b> for US$ and CA$", "# 5 of `tick` marks"])
def test_what_is_printed_in_an_image_is_shown_whatever_it_looks_like(text: str) -> None:
    reading = Reading(text, FinishReason.STOP, 7, 2)
    page = render_reading(reading, "a.png", HTML, Task.OCR).partition("<body>")[2]
    assert unescape(re.sub("<[^>]*>", "", page)).strip() == text
    assert render_reading(reading, "a.png", TEXT, Task.OCR) == text


def test_a_table_of_an_image_stays_a_table() -> None:
    reading = Reading("<table><tr><td>Tea &lt;hot&gt;</td></tr></table>", FinishReason.STOP, 7, 2)
    assert "<td>Tea &lt;hot&gt;</td>" in render_reading(reading, "a.png", HTML, Task.TABLE)
    assert render_reading(reading, "a.png", MARKDOWN, Task.TABLE) == reading.text
