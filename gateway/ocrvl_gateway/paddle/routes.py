"""`/layout-parsing` and `/restructure-pages`."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from typing import Any, Final

from fastapi import APIRouter, Body, Request
from fastapi.responses import Response
from fastapi.routing import APIRoute

from ocrvl_client import Document, InvalidRequest, Page
from ocrvl_gateway.dependencies import Services, ServicesDep
from ocrvl_gateway.disconnect import cancel_on_disconnect
from ocrvl_gateway.encoding import decode_base64
from ocrvl_gateway.errors import BadRequest
from ocrvl_gateway.json_body import BoundedJsonRoute, check_value_count
from ocrvl_gateway.openapi import error_responses
from ocrvl_gateway.paddle.mapping import data_info, exports_of, options_of, result_of, with_client_names
from ocrvl_gateway.paddle.restructure_pool import RestructurePool
from ocrvl_gateway.paddle.schemas import (
    InferResponse,
    InferResult,
    LayoutParsingRequest,
    LayoutParsingResult,
    NoResultResponse,
    RestructureRequest,
    RestructureResponse,
)
from ocrvl_gateway.problems import Problem

router = APIRouter(tags=["PaddleOCR"], route_class=BoundedJsonRoute)
_JSON: Final = re.compile(r"application/([a-z0-9.-]+\+)?json\b", re.IGNORECASE)
_MAX_VALUES: Final = 2_000_000
"""Of pages to restructure, 2,000 of each of 1,000; they take 64 bytes each and more."""

_ERRORS = (401, 413, 422, 429, 500, 503, 504)


@router.post(
    "/layout-parsing",
    operation_id="infer",
    response_model=InferResponse,
    responses=error_responses(*_ERRORS, model=NoResultResponse),
)
async def layout_parsing(body: LayoutParsingRequest, request: Request, services: ServicesDep) -> Any:
    """Read a PDF or an image, in PaddleOCR's form."""
    return await cancel_on_disconnect(request, _layout_parsing(body, request.state.request_id, services))


async def _layout_parsing(body: LayoutParsingRequest, request_id: str, services: Services) -> Response:
    if body.file.startswith(("http://", "https://")):
        file = await services.fetcher.fetch(body.file, "file")
    else:
        file = decode_base64(body.file, "file")
    visualize = services.settings.visualize if body.visualize is None else body.visualize
    options = options_of(body, visualize=visualize, max_pages=services.settings.max_pages)
    results: list[LayoutParsingResult] = []
    contents = []
    pages = services.reader.document_stream(file, timeout=services.settings.document_timeout, **options)
    try:
        async with aclosing(pages):
            async for part in pages:
                if isinstance(part, Page):
                    contents.append(part.content)
                    results.append(result_of(part, with_images=body.returnMarkdownImages))
                    services.metrics.pages.inc()
                elif isinstance(part, Document) and results:
                    results[0].exports = exports_of(part)
    except InvalidRequest as error:
        raise BadRequest(with_client_names(str(error))) from None
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
    del body  # parsed by a worker, which has limits
    if not _JSON.match(request.headers.get("content-type", "")):
        raise BadRequest("expected Content-Type: application/json")
    sent = await request.body()
    check_value_count(sent, _MAX_VALUES)
    pool: RestructurePool = request.app.state.restructure_pool
    answer = await cancel_on_disconnect(request, pool.run(sent, request.state.request_id))
    if isinstance(answer, Problem):
        return answer.to_response(request.state.route, request.state.request_id)
    return Response(answer, media_type="application/json")


router.add_api_route(
    "/restructure-pages",
    restructure_pages,
    methods=["POST"],
    operation_id="restructurePages",
    response_model=RestructureResponse,
    responses=error_responses(*_ERRORS, 501, model=NoResultResponse),
    route_class_override=_UnparsedRoute,
)


def _answer(response: InferResponse) -> Response:
    # as the service does, without fields that are not set; and without FastAPI's walk through megabytes of base64
    return Response(response.model_dump_json(exclude_none=True), media_type="application/json")
