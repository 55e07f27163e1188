"""The application: settings in, FastAPI out, behind the gateway's own guard."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException

from ocrvl import __version__
from ocrvl_gateway.metrics import HttpMetrics
from ocrvl_gateway.middleware.api_keys import ApiKeys
from ocrvl_gateway.middleware.body import BodyLimiter
from ocrvl_gateway.middleware.guard import RequestGuard
from ocrvl_gateway.middleware.rate_limit import RateLimiter
from ocrvl_gateway.problems import problem_of
from ocrvl_receipts.front import health, routes
from ocrvl_receipts.front.dependencies import Sender, Services, Store
from ocrvl_receipts.kafka.producer import Producer
from ocrvl_receipts.kafka.topics import ensure_topics
from ocrvl_receipts.settings import FrontSettings
from ocrvl_receipts.store import ObjectStore
from ocrvl_receipts.trace import sending


def create_app(
    settings: FrontSettings, *, store: Store | None = None, make_sender: Callable[[], Sender] | None = None
) -> FastAPI:
    """A front end of a store and a broker. Topics are made while it serves: a broker may come later than it."""
    services = Services(settings, store or ObjectStore(settings), HttpMetrics("ocrvl_pipeline_front"))

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncGenerator[None, None]:
        topics = None if make_sender else asyncio.create_task(ensure_topics(settings))
        services.sender = make_sender() if make_sender else Producer(settings, settings.timeout)
        # here, not around the server: uvicorn ends its process by the signal that stopped it
        with sending("ocrvl-receipts-front"):
            yield
        if topics is not None:
            topics.cancel()
        await services.sender.close()

    app = FastAPI(
        title="Receipts",
        version=__version__,
        lifespan=lifespan,
        # FastAPI's pages for it load scripts from elsewhere
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json" if settings.openapi else None,
        redirect_slashes=False,
    )
    app.state.services = services
    keys = ApiKeys([key.get_secret_value() for key in settings.api_keys])
    secured: list[Any] = [Depends(HTTPBearer(auto_error=False))] if keys.are_required else []
    app.include_router(routes.router, dependencies=secured)
    app.include_router(health.router)
    for error_type in (RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(error_type, _answer_error)
    app.add_middleware(
        RequestGuard,
        router=app.router,
        keys=keys,
        rate_limiter=RateLimiter(settings.rate_limit),
        body_limiter=BodyLimiter(
            settings.max_body_bytes, settings.max_body_bytes * settings.max_in_flight, settings.receive_timeout
        ),
        metrics=services.metrics,
        max_in_flight=settings.max_in_flight,
        timeout=settings.timeout + 1,
    )
    return app


async def _answer_error(request: Request, error: Exception) -> Response:
    request_id = request.state.request_id
    return problem_of(error, request_id).to_response(request.state.route, request_id)
