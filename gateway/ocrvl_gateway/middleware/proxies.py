"""The address of a client behind proxies: what the nearest trusted proxy says of it."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

_NAME = b"x-forwarded-for"


def trust_proxies(app: ASGIApp, trusted: str) -> ASGIApp:
    """An application that has the client's address in `scope["client"]`; `trusted` are the proxies, `*` is any.

    Each proxy adds the address that it saw at the right end of `X-Forwarded-For`: from there the first that is no
    proxy of ours is the client's. Where any proxy is trusted, only the last address can be: what stands left of it is
    the client's own writing.
    """
    inner: ASGIApp = ProxyHeadersMiddleware(app, trusted_hosts=trusted)  # type: ignore[arg-type, assignment]
    return _LastAddress(inner) if trusted.strip() == "*" else inner


class _LastAddress:
    """Keeps only the last address of `X-Forwarded-For`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on a request."""
        headers = scope.get("headers", [])
        values = [value for name, value in headers if name == _NAME]
        if values:
            last = values[-1].rpartition(b",")[2].strip()
            kept = [(name, value) for name, value in headers if name != _NAME]
            scope = {**scope, "headers": [*kept, (_NAME, last)]}
        await self._app(scope, receive, send)
