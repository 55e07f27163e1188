"""`/layout-parsing` and `/restructure-pages`."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Depends, Request
from fastapi.responses import Response
from fastapi.routing import APIRoute

from ocrvl_client import Document, InvalidRequest, Page
from ocrvl_gateway.disconnect import while_connected
from ocrvl_gateway.encoding import decode_base64
from ocrvl_gateway.errors import BadRequest, Problem
from ocrvl_gateway.middleware.json_body import BoundedJsonRoute, check_values
from ocrvl_gateway.paddle.mapping import data_info, exports_of, in_callers_words, options_of, result_of
from ocrvl_gateway.paddle.schemas import (
    InferResponse,
    InferResult,
    LayoutParsingRequest,
    LayoutParsingResult,
    NoResultResponse,
    RestructureRequest,
    RestructureResponse,
)
from ocrvl_gateway.parts import Parts, get_parts, refusals

router = APIRouter(tags=["PaddleOCR"], route_class=BoundedJsonRoute)
_Parts = Annotated[Parts, Depends(get_parts)]
_JSON: Final = re.compile(r"application/([a-z0-9.-]+\+)?json\b", re.IGNORECASE)
_MOST_VALUES: Final = 2_000_000
"""Of pages to restructure, 2,000 of each of 1,000; they take 64 bytes each and more."""

_REFUSALS = (401, 413, 422, 429, 500, 503, 504)


@router.post(
    "/layout-parsing",
    operation_id="infer",
    response_model=InferResponse,
    responses=refusals(*_REFUSALS, model=NoResultResponse),
)
async def layout_parsing(body: LayoutParsingRequest, request: Request, parts: _Parts) -> Any:
    """Read a PDF or an image, in PaddleOCR's form."""
    return await while_connected(request, _layout_parsing(body, request.state.request_id, parts))


async def _layout_parsing(body: LayoutParsingRequest, request_id: str, parts: Parts) -> Response:
    if body.file.startswith(("http://", "https://")):
        file = await parts.fetcher.fetch(body.file, "file")
    else:
        file = decode_base64(body.file, "file")
    visualize = parts.settings.visualize if body.visualize is None else body.visualize
    options = options_of(body, visualize=visualize, max_pages=parts.settings.max_pages)
    results: list[LayoutParsingResult] = []
    contents = []
    pages = parts.reader.document_stream(file, timeout=parts.settings.document_timeout, **options)
    try:
        async with aclosing(pages):
            async for part in pages:
                if isinstance(part, Page):
                    contents.append(part.content)
                    results.append(result_of(part, with_images=body.returnMarkdownImages))
                    parts.metrics.pages.inc()
                elif isinstance(part, Document) and results:
                    results[0].exports = exports_of(part)
    except InvalidRequest as error:
        raise BadRequest(in_callers_words(str(error))) from None
    result = InferResult(layoutParsingResults=results, dataInfo=data_info(file, contents))
    return _answer(InferResponse(logId=body.logId or request_id, result=result))


class _UnparsedRoute(APIRoute):
    """A route with the documentation of its endpoint's body, whose endpoint gets the request as it came."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The endpoint itself."""

        async def handle(request: Request) -> Response:
            answer: Response = await self.endpoint(request)
            return answer

        return handle


async def restructure_pages(request: Request, body: RestructureRequest = Body(...)) -> Response:  # noqa: B008
    """Make pages parts of one document: tables that go on across pages, levels of titles."""
    del body  # parsed where it is worked on, in a process that has limits
    if not _JSON.match(request.headers.get("content-type", "")):
        raise BadRequest("Content-Type: application/json is wanted")
    sent = await request.body()
    check_values(sent, _MOST_VALUES)
    ask = get_parts(request).restructurer.ask(sent, request.state.request_id)
    answer = await while_connected(request, ask)
    if isinstance(answer, Problem):
        return answer.response(request.state.route, request.state.request_id)
    return Response(answer, media_type="application/json")


router.add_api_route(
    "/restructure-pages",
    restructure_pages,
    methods=["POST"],
    operation_id="restructurePages",
    response_model=RestructureResponse,
    responses=refusals(*_REFUSALS, 501, model=NoResultResponse),
    route_class_override=_UnparsedRoute,
)


def _answer(response: InferResponse) -> Response:
    # as the service does, without what is not there; and without FastAPI's walk through megabytes of base64
    return Response(response.model_dump_json(exclude_none=True), media_type="application/json")
