"""The request guard, middleware around the whole application: it counts every request and limits those for inference.

Limits of load are checked twice, from the headers and when the body has arrived: what is refused before has cost its
headers, and one whose body does not arrive is not in flight.
"""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.routing import Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ocrvl_gateway.errors import (
    CLIENT_CLOSED_REQUEST,
    ClientDisconnected,
    GatewayTimeout,
    Overloaded,
    Refusal,
    RouteNotFound,
    TooManyRequests,
    Unauthorized,
)
from ocrvl_gateway.metrics import HttpMetrics
from ocrvl_gateway.middleware.access import RouteAccess, access_of
from ocrvl_gateway.middleware.api_keys import ApiKeys
from ocrvl_gateway.middleware.body import BodyLimiter, replay_body
from ocrvl_gateway.middleware.rate_limit import RateLimiter
from ocrvl_gateway.problems import problem_of

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,128}")
"""Ids that are safe to log."""


class RequestGuard:
    """ASGI middleware around the application whose `router` it is.

    `scope["state"]` gets the `request_id`, the client's `X-Request-Id` or a new one, and the `route` as it was
    declared; None is no route. What is not HTTP is closed.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        router: Router,
        keys: ApiKeys,
        rate_limiter: RateLimiter,
        body_limiter: BodyLimiter,
        metrics: HttpMetrics,
        max_in_flight: int,
        timeout: float,
    ) -> None:
        self._app = app
        self._router = router
        self._keys = keys
        self._rate_limiter = rate_limiter
        self._body_limiter = body_limiter
        self._metrics = metrics
        self._max_in_flight = max_in_flight
        self._timeout = timeout
        self._in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass, or answer it with why it may not."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1003})
            return
        request_id = Headers(scope=scope).get("x-request-id", "")
        if not _REQUEST_ID.fullmatch(request_id):
            request_id = uuid.uuid4().hex
        access = access_of(self._router.routes, scope)
        scope.setdefault("state", {}).update(request_id=request_id, route=access.path if access else None)
        status = CLIENT_CLOSED_REQUEST

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-Id"] = request_id
            await send(message)

        started = time.perf_counter()
        try:
            await self._respond(access, scope, receive, send_with_id)
        except Exception:
            status = 500  # answered by Starlette's middleware around this one
            raise
        finally:
            handler = access.path if access else "none"
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self._metrics.requests.labels(method, handler, status).inc()
            self._metrics.seconds.labels(method, handler).observe(time.perf_counter() - started)

    async def _respond(self, access: RouteAccess | None, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if not self._check(access, scope):
                await self._app(scope, receive, send)
                return
            body = await self._body_limiter.receive(receive)
            try:
                await self._run(scope, replay_body(body, receive), send)
            finally:
                self._body_limiter.release(len(body))
        except ClientDisconnected:
            return
        except Refusal as refusal:
            self._metrics.refusals.labels(refusal.code).inc()
            request_id, route = scope["state"]["request_id"], scope["state"]["route"]
            await problem_of(refusal, request_id).to_response(route, request_id)(scope, receive, send)

    async def _run(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application answer, as one of those in flight and for a limited time. Raises `Refusal`."""
        self._check_in_flight()
        self._in_flight += 1
        self._metrics.in_flight.inc()
        has_started = False

        async def send_and_note(message: Message) -> None:
            nonlocal has_started
            has_started = True
            await send(message)

        try:
            async with asyncio.timeout(self._timeout) as limit:
                await self._app(scope, receive, send_and_note)
        except TimeoutError:
            if not limit.expired():
                raise
            if not has_started:
                raise GatewayTimeout(f"no answer within {self._timeout:g} s") from None
            # an answer that is not complete: the connection is closed
        finally:
            self._in_flight -= 1
            self._metrics.in_flight.dec()

    def _check(self, access: RouteAccess | None, scope: Scope) -> bool:
        """Whether the request is one for inference. Raises `Refusal`."""
        if access is None:
            raise RouteNotFound("no route found at this path")
        headers = Headers(scope=scope)
        client = (scope.get("client") or ("",))[0]
        if self._keys.are_required and access.needs_key:
            key = self._keys.find(headers.get("authorization"))
            if key is None:
                raise Unauthorized("expected a known API key: Authorization: Bearer …")
            client = key
        self._body_limiter.check_content_length(headers)
        if access.is_inference:
            self._check_in_flight()
            if wait := self._rate_limiter.acquire(client):
                raise TooManyRequests("too many requests in a minute", retry_after=wait)
        return access.is_inference

    def _check_in_flight(self) -> None:
        if self._in_flight >= self._max_in_flight:
            raise Overloaded(f"{self._in_flight} requests are in flight, no more are taken", retry_after=1.0)
