"""The door itself, around the whole application: every request is counted here and named, those with work are checked.

A request has work from when its body has arrived: what is refused before has cost its headers, and one whose body does
not come holds no place.
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
    CLIENT_GONE,
    Busy,
    ClientGone,
    NoSuchRoute,
    Refusal,
    TooLate,
    TooManyRequests,
    Unauthorized,
    problem_of,
)
from ocrvl_gateway.middleware.access import Access, access_of
from ocrvl_gateway.middleware.body import Bodies, check_length, received
from ocrvl_gateway.middleware.keys import Keys
from ocrvl_gateway.middleware.metrics import GatewayMetrics
from ocrvl_gateway.middleware.rate import RateLimit

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_SANE_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,128}")


class Door:
    """ASGI middleware around the application whose `router` it is.

    `scope["state"]` gets the `request_id`, the caller's `X-Request-Id` or a new one, and the `route` as it was
    declared; None is no route. What is no HTTP is closed.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        router: Router,
        keys: Keys,
        rate: RateLimit,
        metrics: GatewayMetrics,
        bodies: Bodies,
        max_in_flight: int,
        max_body_bytes: int,
        work_seconds: float,
    ) -> None:
        self._app = app
        self._router = router
        self._keys = keys
        self._rate = rate
        self._metrics = metrics
        self._max_in_flight = max_in_flight
        self._max_body_bytes = max_body_bytes
        self._bodies = bodies
        self._work_seconds = work_seconds
        self._in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass, or answer it with why it may not."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1003})
            return
        headers = Headers(scope=scope)
        request_id = headers.get("x-request-id", "")
        if not _SANE_ID.fullmatch(request_id):
            request_id = uuid.uuid4().hex
        access = access_of(self._router.routes, scope)
        scope.setdefault("state", {}).update(request_id=request_id, route=access.path if access else None)
        status = CLIENT_GONE

        async def named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-Id"] = request_id
            await send(message)

        began = time.perf_counter()
        try:
            await self._pass(access, scope, headers, receive, named)
        except Exception:
            status = 500  # answered around the door
            raise
        finally:
            handler = access.path if access else "none"
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self._metrics.requests.labels(method, handler, status).inc()
            self._metrics.seconds.labels(method, handler).observe(time.perf_counter() - began)

    async def _pass(self, access: Access | None, scope: Scope, headers: Headers, receive: Receive, send: Send) -> None:
        try:
            if not self._check(access, scope, headers):
                await self._app(scope, receive, send)
                return
            body = await self._bodies.receive(receive)
            try:
                await self._work(scope, received(body, receive), send)
            finally:
                self._bodies.release(len(body))
        except ClientGone:
            return
        except Refusal as refusal:
            self._metrics.refused.labels(refusal.code).inc()
            problem = problem_of(refusal, scope["state"]["request_id"])
            response = problem.response(scope["state"]["route"], scope["state"]["request_id"])
            await response(scope, receive, send)

    async def _work(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application work on a request, in a place of its own and for a limited time. Raises `Refusal`."""
        self._check_places()
        self._in_flight += 1
        self._metrics.in_flight.inc()
        has_begun = False

        async def watched(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            async with asyncio.timeout(self._work_seconds) as limit:
                await self._app(scope, receive, watched)
        except TimeoutError:
            if not limit.expired():
                raise
            if not has_begun:
                raise TooLate(f"no answer within {self._work_seconds:g} s") from None
            # an answer that ends before its end: the connection is closed
        finally:
            self._in_flight -= 1
            self._metrics.in_flight.dec()

    def _check(self, access: Access | None, scope: Scope, headers: Headers) -> bool:
        """Whether the request has work for the server. Raises `Refusal`."""
        if access is None:
            raise NoSuchRoute("nothing is served at this path")
        caller = (scope.get("client") or ("",))[0]
        if self._keys.are_wanted and access.needs_key:
            key = self._keys.find(headers.get("authorization"))
            if key is None:
                raise Unauthorized("a known API key is wanted: Authorization: Bearer …")
            caller = key
        check_length(headers, self._max_body_bytes)
        if access.has_work:
            self._check_load(caller)
        return access.has_work

    def _check_load(self, caller: str) -> None:
        self._check_places()
        if wait := self._rate.wait_of(caller):
            raise TooManyRequests("too many requests in a minute", retry_after=wait)

    def _check_places(self) -> None:
        if self._in_flight >= self._max_in_flight:
            raise Busy(f"{self._in_flight} requests are under way, no more are taken", retry_after=1.0)
