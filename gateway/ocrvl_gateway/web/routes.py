"""The page at `/`, its files, and `/api/document`, which sends a document's pages as they are done."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse, Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.staticfiles import StaticFiles

from ocrvl_client import Document, Page
from ocrvl_gateway.dependencies import Services, ServicesDep
from ocrvl_gateway.disconnect import first_item
from ocrvl_gateway.encoding import encode_base64
from ocrvl_gateway.errors import BadRequest
from ocrvl_gateway.openapi import error_responses, event_stream
from ocrvl_gateway.problems import problem_of
from ocrvl_gateway.server_sent_events import encode_event, event_stream_response

router = APIRouter(tags=["Web page"])
STATIC: Final = Path(__file__).parent / "static"

# model output is untrusted: should the page ever insert it as markup, the browser stops it
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' blob: data:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


class PageFiles(StaticFiles):
    """The files of the page, with its security headers."""

    def file_response(self, *arguments: Any, **named: Any) -> Response:
        """A file, with those headers."""
        response = super().file_response(*arguments, **named)
        response.headers.update(_HEADERS)
        return response


class DocumentQuery(BaseModel):
    """How to read a file: those of the server's options that the page offers."""

    model_config = ConfigDict(extra="forbid")

    pages: Annotated[str, Field(max_length=1024)] | None = Field(None, description="which, from 1 on: `1-5,8,12-`")
    use_layout_detection: bool = Field(True, description="`false`: a page is one block")
    prompt_label: Literal["ocr", "formula", "table", "chart", "seal", "spotting"] | None = Field(
        None, description="what a page is, without layout detection"
    )
    use_chart_recognition: bool = False
    use_seal_recognition: bool = False


@router.get("/", include_in_schema=False)
async def index() -> FileResponse:
    """The page."""
    return FileResponse(STATIC / "index.html", headers=_HEADERS)


@router.post(
    "/api/document",
    operation_id="readDocument",
    response_class=StreamingResponse,
    responses={
        **event_stream("page", "document", "error"),
        **error_responses(400, 401, 413, 429, 500, 503, 504),
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
        }
    },
)
async def read_document(
    query: Annotated[DocumentQuery, Query()], request: Request, services: ServicesDep
) -> StreamingResponse:
    """Read a PDF or an image, the body itself. Server-sent events: `page` for each, `document`, or `error`."""
    file = await request.body()
    if not file:
        raise BadRequest("the body has no bytes, it is the file itself")
    options = {
        **query.model_dump(exclude_none=True),
        # contents of blocks as they are in the Markdown: a page can then show which text is whose
        "format_block_content": True,
        "return_page_images": True,
        "max_pages": services.settings.max_pages,
    }
    pages = services.reader.document_stream(file, timeout=services.settings.document_timeout, **options)
    first = await first_item(request, pages)
    sent = _send(first, pages, request, services)
    return event_stream_response(sent)


async def _send(
    first: Page | Document, pages: AsyncGenerator[Page | Document, None], request: Request, services: Services
) -> AsyncGenerator[bytes, None]:
    try:
        item = first
        while isinstance(item, Page):
            services.metrics.pages.inc()
            yield encode_event(_page(item), "page")
            item = await anext(pages)
        yield encode_event({"markdown": item.markdown}, "document")
    except Exception as error:
        yield encode_event(problem_of(error, request.state.request_id).to_openai()["error"], "error")
    finally:
        await pages.aclose()


def _page(page: Page) -> dict[str, Any]:
    own = f"page_{page.index + 1:04d}_input.jpg"
    return {
        "index": page.index,
        "done": page.done,
        "total": page.total,
        "markdown": page.markdown,
        "content": page.content,
        "image": encode_base64(page.images[own]) if own in page.images else None,
        "images": {name: encode_base64(data) for name, data in page.images.items() if name != own},
        "error": page.error,
        "warning": page.warning,
    }
