"""The application: settings and a reader in, FastAPI out."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException

from ocrvl import __version__
from ocrvl_client import OcrvlError
from ocrvl_gateway import health
from ocrvl_gateway.errors import problem_of
from ocrvl_gateway.fetch import Fetcher
from ocrvl_gateway.middleware.body import Bodies
from ocrvl_gateway.middleware.guard import Door
from ocrvl_gateway.middleware.keys import Keys
from ocrvl_gateway.middleware.metrics import GatewayMetrics
from ocrvl_gateway.middleware.rate import RateLimit
from ocrvl_gateway.openai import routes as openai_routes
from ocrvl_gateway.paddle import routes as paddle_routes
from ocrvl_gateway.paddle.restructurer import Restructurer
from ocrvl_gateway.parts import Parts
from ocrvl_gateway.reader import Reader
from ocrvl_gateway.settings import GatewaySettings
from ocrvl_gateway.web import routes as web_routes


def create_app(
    settings: GatewaySettings,
    reader: Reader,
    *,
    fetcher: Fetcher | None = None,
    restructurer: Restructurer | None = None,
) -> FastAPI:
    """A gateway in front of what `reader` reads with; that and the others are closed with the application."""
    parts = Parts(
        settings,
        reader,
        fetcher or Fetcher(settings.url_hosts, settings.max_body_bytes),
        GatewayMetrics(),
        restructurer or Restructurer(settings.restructure_timeout),
    )

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncGenerator[None, None]:
        yield
        await parts.fetcher.close()
        await parts.restructurer.close()
        await reader.aclose()

    app = FastAPI(
        title="PaddleOCR-VL",
        version=__version__,
        lifespan=lifespan,
        # FastAPI's pages for it load scripts from elsewhere
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json" if settings.openapi else None,
        # a path with a slash too many is no route, and not another one
        redirect_slashes=False,
    )
    app.state.parts = parts
    keys = Keys([key.get_secret_value() for key in settings.api_keys])
    # the door asks for the key itself, before the body is read; this says so in the documentation
    secured: list[Any] = [Depends(HTTPBearer(auto_error=False))] if keys.are_wanted else []
    for routes in (openai_routes, paddle_routes, web_routes):
        app.include_router(routes.router, dependencies=secured)
    app.include_router(health.router)
    app.mount("/static", web_routes.PageFiles(directory=web_routes.STATIC), "static")
    for kind in (OcrvlError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, _answer_error)
    app.add_middleware(
        Door,
        router=app.router,
        keys=keys,
        rate=RateLimit(settings.rate),
        metrics=parts.metrics,
        bodies=Bodies(settings.max_body_bytes, settings.max_total_body_bytes, settings.receive_timeout),
        max_in_flight=settings.max_in_flight,
        max_body_bytes=settings.max_body_bytes,
        work_seconds=max(settings.timeout, settings.document_timeout, settings.restructure_timeout),
    )
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "X-Request-Id"],
            expose_headers=["X-Request-Id", "Retry-After"],
        )
    return app


async def _answer_error(request: Request, error: Exception) -> Response:
    request_id = request.state.request_id
    return problem_of(error, request_id).response(request.state.route, request_id)
