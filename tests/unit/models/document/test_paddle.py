"""What is printed is in a page's Markdown, JSON and Word file, whatever it looks like."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from html import unescape

import docx
import numpy as np
import pytest
from markdown_it import MarkdownIt

from ocrvl.models.document.options import DocumentOptions
from ocrvl.models.document.paddle import BlockText, Crop, PaddlePipeline, PageResult
from ocrvl.models.regions import Region
from ocrvl_cli.reading.html import render_page

PRINTED = 'List<String> and <recv r="200"/>, 2**3 of 4**5, US$ and CA$'
FORMULA = r"it costs $5, so \(x_1*y*z\) holds for $6"
OPTIONS = DocumentOptions(merge_layout_blocks=False)


@pytest.fixture(scope="module")
def pipeline() -> PaddlePipeline:
    return PaddlePipeline()


def read(pipeline: PaddlePipeline, *blocks: tuple[str, str], options: DocumentOptions = OPTIONS) -> PageResult:
    """A page of these blocks, each with its label and what the model writes of it."""
    pixels = np.full((100 * len(blocks), 400, 3), 255, np.uint8)
    # the crops are told apart by their heights
    regions = [Region(label, 0.9, (10, 100 * n, 390, 100 * n + 40 + n)) for n, (label, _) in enumerate(blocks)]
    texts = {40 + n: text for n, (_, text) in enumerate(blocks)}

    def recognise(crops: Sequence[Crop]) -> list[BlockText]:
        return [BlockText(texts[crop.pixels.shape[0]]) for crop in crops]

    return pipeline.read_page(pixels, regions, options, recognise, index=0, count=1, key="key")


def contents(page: PageResult) -> list[str]:
    return [block["block_content"] for block in page.pruned()["parsing_res_list"]]


def shown(html: str) -> str:
    return unescape(re.sub(r"<[^>]*>", "", html)).strip()


def rendered(markdown: str) -> str:
    return shown(MarkdownIt("commonmark", {"html": True}).enable("table").render(markdown))


@pytest.mark.parametrize(
    "label",
    ["text", "doc_title", "paragraph_title", "table_title", "figure_title", "reference_content", "content", "abstract"],
)
@pytest.mark.parametrize("pretty", [True, False])
def test_what_is_printed_is_shown_in_markdown_and_as_it_is_in_json(
    label: str, pretty: bool, pipeline: PaddlePipeline
) -> None:
    options = DocumentOptions(prettify_markdown=pretty)
    page = read(pipeline, (label, PRINTED), options=options)
    assert rendered(page.markdown(options)) == PRINTED
    assert shown(render_page(page.markdown(options), "a", {}).partition("<body>")[2]) == PRINTED
    assert contents(page) == [PRINTED]


def test_a_text_without_markup_has_paddlexs_own_markdown(pipeline: PaddlePipeline) -> None:
    page = read(pipeline, ("doc_title", "Menu"), ("text", "Fish & chips\nfor $5 or $6"), ("formula", r"\[E=mc^2\]"))
    assert page.markdown(OPTIONS) == page.result._to_markdown()["markdown_texts"].replace("\ufdd0", "$")


def test_contents_that_are_formatted_are_those_of_the_markdown(pipeline: PaddlePipeline) -> None:
    options = DocumentOptions(format_block_content=True)
    page = read(pipeline, ("doc_title", PRINTED), ("text", PRINTED), options=options)
    assert "\n\n".join(contents(page)) == page.markdown(options)


def test_printed_dollars_stay_beside_formulas(pipeline: PaddlePipeline) -> None:
    page = read(pipeline, ("text", FORMULA))
    assert contents(page) == ["it costs $5, so  $ x_1*y*z $ holds for $6"]
    assert page.markdown(OPTIONS) == r"it costs \$5, so  $ x_1*y*z $ holds for \$6"


def test_cells_of_tables_are_shown_whole(pipeline: PaddlePipeline) -> None:
    page = read(pipeline, ("table", "<fcel>List<String><fcel>$5 or 6$<nl>"))
    assert [rendered(page.markdown(OPTIONS)), shown(contents(page)[0])] == ["List<String>$5 or 6$"] * 2


def test_a_table_that_is_none_is_shown_as_the_model_wrote_it(pipeline: PaddlePipeline) -> None:
    page = read(pipeline, ("table", "no <b>table</b> at all"))
    assert rendered(page.markdown(OPTIONS)) == "no <b>table</b> at all"


def test_cells_of_charts_are_shown_whole(pipeline: PaddlePipeline) -> None:
    options = DocumentOptions(use_chart_recognition=True)
    page = read(pipeline, ("chart", "Kind<T> | $\nA<b> | 5"), options=options)
    assert rendered(page.markdown(options)).split() == ["Kind<T>$", "A<b>5"]


def test_word_has_what_is_printed(pipeline: PaddlePipeline) -> None:
    page = read(pipeline, ("text", PRINTED), ("text", "It costs $5 or $6"), ("text", r"so \(x\) is $5 or 6$"))
    document = docx.Document(io.BytesIO(pipeline.docx([page])))
    written = [" ".join(paragraph.text.split()) for paragraph in document.paragraphs if paragraph.text]
    # PaddleX's package has no means to make Word's formulas, so they are written out
    assert written == [PRINTED, "It costs $5 or $6", "so $ x $ is $5 or 6$"]
    # and the page is what it was
    assert contents(page)[1] == "It costs $5 or $6"
