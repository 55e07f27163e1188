"""Pages that `/layout-parsing` could not read, among those that become one document: they are kept, and said.

PaddleX knows no such pages, so it is handed the others.
"""

from __future__ import annotations

from collections.abc import Sequence

from ocrvl_gateway.paddle.schemas import LayoutParsingResult, MarkdownData, RestructureRequest

_SAID = ("error", "warning")


def with_failed(request: RestructureRequest, results: Sequence[LayoutParsingResult]) -> list[LayoutParsingResult]:
    """What was made of the pages that were read, and what was said of each page when it was.

    Pages that could not be read come back as they were sent, in their places; where all become one, it has a warning
    that names them.
    """
    if request.concatenatePages:
        return _as_one(request, results)
    made = iter(results)
    return [
        LayoutParsingResult(prunedResult=page.prunedResult, markdown=MarkdownData(text=""))
        if page.has_failed
        else _with_said(next(made), {name: page.prunedResult[name] for name in _SAID if name in page.prunedResult})
        for page in request.pages
    ]


def _as_one(request: RestructureRequest, results: Sequence[LayoutParsingResult]) -> list[LayoutParsingResult]:
    said = [
        f"page {number}: {page.prunedResult[name]}"
        for number, page in enumerate(request.pages, 1)
        for name in _SAID
        if name in page.prunedResult
    ]
    if not said:
        return list(results)
    nothing = LayoutParsingResult(prunedResult={}, markdown=MarkdownData(text=""))
    return [_with_said(result, {"warning": "; ".join(said)}) for result in results or [nothing]]


def _with_said(result: LayoutParsingResult, said: dict[str, str]) -> LayoutParsingResult:
    return result.model_copy(update={"prunedResult": {**result.prunedResult, **said}})
