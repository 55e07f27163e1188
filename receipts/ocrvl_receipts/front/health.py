"""Liveness, readiness and metrics."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from ocrvl_receipts.front.dependencies import ServicesDep
from ocrvl_receipts.front.schemas import Health

router = APIRouter(tags=["Health"])


@router.get("/healthz", operation_id="getHealth")
async def healthz() -> Health:
    """The front end runs."""
    return Health(status="ok")


@router.get(
    "/readyz",
    operation_id="getReadiness",
    response_model=Health,
    responses={503: {"model": Health, "description": "No broker can be reached"}},
)
async def readyz(services: ServicesDep) -> JSONResponse:
    """A broker can be reached."""
    if services.sender is not None and await services.sender.is_connected():
        return JSONResponse({"status": "ok"})
    return JSONResponse({"status": "no broker can be reached"}, 503)


@router.get(
    "/metrics",
    operation_id="getMetrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "The series"}},
)
async def metrics(services: ServicesDep) -> Response:
    """The front end's own series, for Prometheus."""
    return Response(generate_latest(services.metrics.registry), media_type=CONTENT_TYPE_LATEST)
