"""Pages that `/layout-parsing` could not read, among those that become one document: they are kept, with their errors.

PaddleX knows no such pages, so it gets the others.
"""

from __future__ import annotations

from collections.abc import Sequence

from ocrvl_gateway.paddle.schemas import LayoutParsingResult, MarkdownData, Page, RestructureRequest

_MESSAGES = ("error", "warning")


def merge_failed(request: RestructureRequest, results: Sequence[LayoutParsingResult]) -> list[LayoutParsingResult]:
    """`results`, which are of the pages that were read, with the messages of each page and with those that failed.

    Pages that could not be read come back as they were sent, in their places; where all become one, it has a warning
    that names them.
    """
    if request.concatenatePages:
        return _merge_into_one(request, results)
    restructured = iter(results)
    return [
        LayoutParsingResult(prunedResult=page.prunedResult, markdown=MarkdownData(text=""))
        if page.has_failed
        else _with_messages(next(restructured), _messages_of(page))
        for page in request.pages
    ]


def _merge_into_one(request: RestructureRequest, results: Sequence[LayoutParsingResult]) -> list[LayoutParsingResult]:
    messages = [
        f"page {number}: {message}"
        for number, page in enumerate(request.pages, 1)
        for message in _messages_of(page).values()
    ]
    if not messages:
        return list(results)
    empty = LayoutParsingResult(prunedResult={}, markdown=MarkdownData(text=""))
    return [_with_messages(result, {"warning": "; ".join(messages)}) for result in results or [empty]]


def _messages_of(page: Page) -> dict[str, str]:
    return {name: page.prunedResult[name] for name in _MESSAGES if name in page.prunedResult}


def _with_messages(result: LayoutParsingResult, messages: dict[str, str]) -> LayoutParsingResult:
    return result.model_copy(update={"prunedResult": {**result.prunedResult, **messages}})
