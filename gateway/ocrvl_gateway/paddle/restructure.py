"""Pages that become parts of one document, by PaddleX's own rules; nothing is read for it, so no engine is asked.

PaddleX is not needed for anything else here, and takes seconds to import: it comes with the first request.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from ocrvl_gateway.encoding import encode_base64
from ocrvl_gateway.errors import BadRequest, NotInstalled
from ocrvl_gateway.paddle.schemas import (
    DocumentExports,
    ExportContent,
    LayoutParsingResult,
    MarkdownData,
    RestructureRequest,
)

_SIZES = ("width", "height")


def restructure(request: RestructureRequest) -> list[LayoutParsingResult]:
    """The pages as parts of one document. Takes a thread for as long as it takes. Raises `Refusal`."""
    tools = _tools()
    originals = [_original(page.prunedResult, number) for number, page in enumerate(request.pages)]
    if not originals:
        return []
    try:
        results = list(
            tools.pipeline.restructure_pages(
                originals,
                merge_tables=request.mergeTables,
                relevel_titles=request.relevelTitles,
                concatenate_pages=request.concatenatePages,
            )
        )
        return [
            _result(tools, result, images, request) for result, images in zip(results, _images(request), strict=True)
        ]
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        # PaddleX trusts its own JSON: what it can not follow was not made by it
        raise BadRequest(
            f"pages: not as /layout-parsing sends them ({type(error).__name__}: {error})", param="pages"
        ) from error


def _images(request: RestructureRequest) -> list[Mapping[str, str] | None]:
    if not request.concatenatePages:
        return [page.markdownImages for page in request.pages]
    return [{name: data for page in request.pages for name, data in (page.markdownImages or {}).items()}]


def _original(pruned: Mapping[str, Any], number: int) -> dict[str, Any]:
    size = dict.fromkeys(_SIZES)
    return {"res": {"page_count": None, **size, **pruned, "input_path": "", "page_index": number}}


def _result(
    tools: _Tools, result: Any, images: Mapping[str, str] | None, request: RestructureRequest
) -> LayoutParsingResult:
    converted = result._to_markdown(pretty=request.prettifyMarkdown, show_formula_number=request.showFormulaNumber)
    exports = None
    if request.outputFormats:
        tools.refill_images(result, images)
        data, name = tools.docx(result)
        exports = DocumentExports(docx=ExportContent(content=encode_base64(data), fileName=name or "document.docx"))
    return LayoutParsingResult(
        prunedResult=tools.prune(result.json["res"]),
        markdown=MarkdownData(
            text=converted["markdown_texts"], images=dict(images) if images and request.returnMarkdownImages else None
        ),
        exports=exports,
    )


class _Tools:
    """The parts of PaddleX that its own service is made of."""

    def __init__(self) -> None:
        from paddlex.inference.pipelines.paddleocr_vl.pipeline import _PaddleOCRVLPipeline
        from paddlex.inference.serving.app_shared.document_export import (
            docx_bytes_and_filename_from_word_mixin,
            refill_paddleocr_vl_images_from_markdown,
        )
        from paddlex.inference.serving.basic_serving._pipeline_apps._common.common import prune_result

        self.pipeline = _PaddleOCRVLPipeline({}, initial_predictor=False)
        self.docx = docx_bytes_and_filename_from_word_mixin
        self.refill_images = refill_paddleocr_vl_images_from_markdown
        self.prune = prune_result


@cache
def _tools() -> _Tools:
    try:
        return _Tools()
    except ImportError as error:
        raise NotInstalled(
            f"{error.name or error} is not installed here; install ocrvl with its extra 'gateway'"
        ) from error
