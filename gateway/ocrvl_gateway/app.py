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
from ocrvl_gateway.dependencies import Services
from ocrvl_gateway.fetch import Fetcher
from ocrvl_gateway.metrics import GatewayMetrics
from ocrvl_gateway.middleware.api_keys import ApiKeys
from ocrvl_gateway.middleware.body import BodyLimiter
from ocrvl_gateway.middleware.guard import RequestGuard
from ocrvl_gateway.middleware.rate_limit import RateLimiter
from ocrvl_gateway.openai import routes as openai_routes
from ocrvl_gateway.paddle import health as paddle_health
from ocrvl_gateway.paddle import routes as paddle_routes
from ocrvl_gateway.paddle.restructure_pool import RestructurePool
from ocrvl_gateway.problems import problem_of
from ocrvl_gateway.reader import Reader
from ocrvl_gateway.receipts import routes as receipt_routes
from ocrvl_gateway.settings import GatewaySettings
from ocrvl_gateway.web import routes as web_routes


def create_app(
    settings: GatewaySettings,
    reader: Reader,
    *,
    fetcher: Fetcher | None = None,
    restructure_pool: RestructurePool | None = None,
) -> FastAPI:
    """A gateway in front of what `reader` reads with; that and the others are closed with the application."""
    fetcher = fetcher or Fetcher(settings.url_hosts, settings.max_body_bytes)
    pool = restructure_pool or RestructurePool(settings.restructure_timeout)
    services = Services(settings, reader, fetcher, GatewayMetrics())

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncGenerator[None, None]:
        yield
        await fetcher.close()
        await pool.close()
        await reader.aclose()

    app = FastAPI(
        title="PaddleOCR-VL",
        version=__version__,
        lifespan=lifespan,
        # FastAPI's pages for it load scripts from elsewhere
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json" if settings.openapi else None,
        # a path with a slash too many has no route, and is not another one
        redirect_slashes=False,
    )
    app.state.services = services
    app.state.restructure_pool = pool
    keys = ApiKeys([key.get_secret_value() for key in settings.api_keys])
    # the guard checks the key itself, before the body is read; this says so in the OpenAPI document
    secured: list[Any] = [Depends(HTTPBearer(auto_error=False))] if keys.are_required else []
    for routes in (openai_routes, paddle_routes, receipt_routes, web_routes):
        app.include_router(routes.router, dependencies=secured)
    for public in (health, paddle_health):
        app.include_router(public.router)
    app.mount("/static", web_routes.PageFiles(directory=web_routes.STATIC), "static")
    for error_type in (OcrvlError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(error_type, _answer_error)
    app.add_middleware(
        RequestGuard,
        router=app.router,
        keys=keys,
        rate_limiter=RateLimiter(settings.rate_limit),
        body_limiter=BodyLimiter(settings.max_body_bytes, settings.max_total_body_bytes, settings.receive_timeout),
        metrics=services.metrics,
        max_in_flight=settings.max_in_flight,
        timeout=max(settings.timeout, settings.document_timeout, settings.restructure_timeout),
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
    return problem_of(error, request_id).to_response(request.state.route, request_id)
