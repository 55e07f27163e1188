"""Whether it lives, whether it can work, and what it counts."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel

from ocrvl_gateway.paddle.schemas import NoResultResponse
from ocrvl_gateway.parts import Parts, get_parts

router = APIRouter(tags=["Health"])
_Parts = Annotated[Parts, Depends(get_parts)]


class Health(BaseModel):
    """How it is."""

    status: str


@router.get("/healthz", operation_id="getHealth")
async def healthz() -> Health:
    """The gateway runs."""
    return Health(status="ok")


@router.get("/health", operation_id="checkHealth")
async def health(request: Request) -> NoResultResponse:
    """The same as PaddleOCR's service answers it; of vLLM's server only the status is looked at."""
    return NoResultResponse(logId=request.state.request_id, errorCode=0, errorMsg="Healthy")


@router.get(
    "/readyz",
    operation_id="getReadiness",
    response_model=Health,
    responses={503: {"model": Health, "description": "Triton cannot be reached, or is not ready"}},
)
async def readyz(parts: _Parts) -> JSONResponse:
    """The gateway reaches Triton, which says that it is ready."""
    if await parts.reader.is_ready():
        return JSONResponse({"status": "ok"})
    return JSONResponse({"status": "the server cannot be reached, or is not ready"}, 503)


@router.get(
    "/metrics",
    operation_id="getMetrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "The series"}},
)
async def metrics(parts: _Parts) -> Response:
    """The gateway's own series, for Prometheus."""
    return Response(generate_latest(parts.metrics.registry), media_type=CONTENT_TYPE_LATEST)
