"""What `ocrvl read` asks for each input, and what it makes of the answers."""

from __future__ import annotations

import json
import re
from html import unescape
from typing import Any

import pytest

from ocrvl.models.document.options import DocumentOptions
from ocrvl.wire import FinishReason, Task
from ocrvl_cli.reading.html import render_page
from ocrvl_cli.reading.read_plan import Format, ReadPlan
from ocrvl_cli.reading.render import render_document, render_reading
from ocrvl_client import Document, Page, Reading

PDF, PNG = b"%PDF-1.7", b"\x89PNG"
MARKDOWN, HTML, TEXT, JSON = Format.MARKDOWN, Format.HTML, Format.TEXT, Format.JSON


@pytest.mark.parametrize(
    ("plan", "pdf", "png"),
    [
        # as: read page by page, blocks found, formats
        (ReadPlan(), (True, True, (MARKDOWN,)), (False, False, (TEXT,))),
        (ReadPlan(to_files=True), (True, True, (MARKDOWN, JSON)), (True, True, (MARKDOWN, JSON))),
        (ReadPlan(to_files=True, formats=(TEXT,)), (True, True, (TEXT,)), (False, False, (TEXT,))),
        (ReadPlan(formats=(HTML,)), (True, True, (HTML,)), (True, True, (HTML,))),
        (ReadPlan(formats=(JSON,)), (True, True, (JSON,)), (False, False, (JSON,))),
        (ReadPlan(formats=(HTML,), task=Task.TABLE), (True, False, (HTML,)), (False, False, (HTML,))),
        (ReadPlan(layout=True), (True, True, (MARKDOWN,)), (True, True, (MARKDOWN,))),
        (ReadPlan(layout=False), (True, False, (TEXT,)), (False, False, (TEXT,))),
        (ReadPlan(to_files=True, draw=True, formats=(TEXT,)), (True, True, (TEXT,)), (True, True, (TEXT,))),
    ],
)
def test_the_plan_of_a_file_follows_from_the_options_and_its_kind(
    plan: ReadPlan, pdf: tuple[bool, bool, tuple[Format, ...]], png: tuple[bool, bool, tuple[Format, ...]]
) -> None:
    for data, expected in ((PDF, pdf), (PNG, png)):
        one = plan.for_file(data)
        assert (one.document, one.layout, one.formats) == expected
        if one.document:
            # the server knows them all
            DocumentOptions(**plan.document_options(one))


@pytest.mark.parametrize(
    ("plan", "options"),
    [
        (ReadPlan(), {"visualize": False, "return_markdown_images": False}),
        (ReadPlan(to_files=True), {"visualize": True, "return_markdown_images": True}),
        (ReadPlan(to_files=True, draw=False), {"visualize": False, "return_markdown_images": True}),
        (ReadPlan(to_files=True, formats=(JSON,), draw=True), {"visualize": True, "return_markdown_images": False}),
        (ReadPlan(formats=(HTML,)), {"visualize": False, "return_markdown_images": True}),
        (
            ReadPlan(task=Task.TABLE, pages="1-3", options={"dpi": 72}),
            {
                "visualize": False,
                "return_markdown_images": False,
                "use_layout_detection": False,
                "prompt_label": "table",
                "pages": "1-3",
                "dpi": 72,
            },
        ),
    ],
)
def test_a_request_for_a_document_has_only_the_options_that_are_needed(plan: ReadPlan, options: dict[str, Any]) -> None:
    assert plan.document_options(plan.for_file(PDF)) == options


def test_other_plans_have_another_digest() -> None:
    plans = [
        ReadPlan(),
        ReadPlan(pages="1"),
        ReadPlan(options={"dpi": 72}),
        ReadPlan(formats=(HTML,)),
        ReadPlan(task=Task.OCR),
    ]
    assert len({plan.digest for plan in plans}) == len(plans)
    assert ReadPlan(options={"a": 1, "b": 2}).digest == ReadPlan(options={"b": 2, "a": 1}).digest


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
