"""Liveness as PaddleOCR's service answers it, which needs no API key."""

from __future__ import annotations

from fastapi import APIRouter, Request

from ocrvl_gateway.paddle.schemas import NoResultResponse

router = APIRouter(tags=["Health"])


@router.get("/health", operation_id="checkHealth")
async def health(request: Request) -> NoResultResponse:
    """The gateway runs. Clients of vLLM's server look at the status alone."""
    return NoResultResponse(logId=request.state.request_id, errorCode=0, errorMsg="Healthy")
