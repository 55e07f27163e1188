"""Liveness, readiness and metrics."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel

from ocrvl_gateway.dependencies import ServicesDep

router = APIRouter(tags=["Health"])


class Health(BaseModel):
    """Whether it is healthy."""

    status: str


@router.get("/healthz", operation_id="getHealth")
async def healthz() -> Health:
    """The gateway runs."""
    return Health(status="ok")


@router.get(
    "/readyz",
    operation_id="getReadiness",
    response_model=Health,
    responses={503: {"model": Health, "description": "Triton cannot be reached, or is not ready"}},
)
async def readyz(services: ServicesDep) -> JSONResponse:
    """The gateway reaches Triton, which says that it is ready."""
    if await services.reader.is_ready():
        return JSONResponse({"status": "ok"})
    return JSONResponse({"status": "the server cannot be reached, or is not ready"}, 503)


@router.get(
    "/metrics",
    operation_id="getMetrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "The series"}},
)
async def metrics(services: ServicesDep) -> Response:
    """The gateway's own series, for Prometheus."""
    return Response(generate_latest(services.metrics.registry), media_type=CONTENT_TYPE_LATEST)
