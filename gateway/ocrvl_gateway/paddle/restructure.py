"""Pages made parts of one document by PaddleX's own code; nothing is read for it, so the server is not asked.

For the workers of `fork_server` alone: PaddleX trusts what it is given, and takes as long as that needs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from paddlex.inference.pipelines.paddleocr_vl.pipeline import _PaddleOCRVLPipeline
from paddlex.inference.serving.basic_serving._pipeline_apps._common.common import prune_result

from ocrvl.page_markdown import to_markdown, to_word
from ocrvl_gateway.encoding import encode_base64
from ocrvl_gateway.errors import BadRequest, Refusal
from ocrvl_gateway.paddle.failed_pages import merge_failed
from ocrvl_gateway.paddle.markdown_images import MarkdownImages
from ocrvl_gateway.paddle.schemas import (
    DocumentExports,
    ExportContent,
    LayoutParsingResult,
    MarkdownData,
    RestructureRequest,
)

_SIZES = ("width", "height")
_PIPELINE = _PaddleOCRVLPipeline({}, initial_predictor=False)


def restructure(request: RestructureRequest) -> list[LayoutParsingResult]:
    """The pages as parts of one document, without a time limit. Raises `BadRequest`."""
    read = [(number, page) for number, page in enumerate(request.pages) if not page.has_failed]
    images = [MarkdownImages(page.markdownImages or {}, number) for number, page in read]
    try:
        originals = [_original(page.prunedResult, number) for number, page in read]
        return merge_failed(request, _restructure(request, originals, images) if originals else [])
    except (Refusal, MemoryError):
        raise
    except Exception as error:
        # what PaddleX cannot follow was not made by it, and it says so by whatever its code comes upon
        raise BadRequest(
            f"pages: not as /layout-parsing sends them ({type(error).__name__}: {error})", param="pages"
        ) from error


def _restructure(
    request: RestructureRequest, originals: list[dict[str, Any]], images: Sequence[MarkdownImages]
) -> list[LayoutParsingResult]:
    results = _PIPELINE.restructure_pages(
        originals,
        merge_tables=request.mergeTables,
        relevel_titles=request.relevelTitles,
        concatenate_pages=request.concatenatePages,
    )
    if request.concatenatePages:
        return [_result(result, images, request) for result in results]
    return [_result(result, [own], request) for result, own in zip(results, images, strict=True)]


def _original(pruned: Mapping[str, Any], number: int) -> dict[str, Any]:
    # a block's image comes from the page's `markdownImages` and from nowhere else
    blocks = [{name: value for name, value in block.items() if name != "image"} for block in pruned["parsing_res_list"]]
    known = {"page_count": None, **dict.fromkeys(_SIZES), **pruned, "parsing_res_list": blocks}
    return {"res": {**known, "input_path": "", "page_index": number}}


def _result(result: Any, images: Sequence[MarkdownImages], request: RestructureRequest) -> LayoutParsingResult:
    for block in result["parsing_res_list"]:
        # those of pages that were put together say which they are from
        own = images[block.page_index if request.concatenatePages else 0]
        own.attach(block, result["model_settings"], for_docx=bool(request.outputFormats))
    converted = to_markdown(
        result,
        pretty=request.prettifyMarkdown,
        show_formula_number=request.showFormulaNumber,
        # contents that were formatted have been escaped
        is_print=not result["model_settings"].get("format_block_content"),
    )
    exports = None
    if request.outputFormats:
        word = ExportContent(content=encode_base64(to_word(result)), fileName="document.docx")
        exports = DocumentExports(docx=word)
    sent = {name: data for page in images for name, data in page.encoded.items()}
    return LayoutParsingResult(
        prunedResult=prune_result(result.json["res"]),
        markdown=MarkdownData(
            text=converted["markdown_texts"], images=sent if sent and request.returnMarkdownImages else None
        ),
        exports=exports,
    )
