"""Who sent a request that came through proxies: what the nearest one that is believed says of it."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

_NAME = b"x-forwarded-for"


def behind_proxies(app: ASGIApp, believed: str) -> ASGIApp:
    """An application that has the caller's address in `scope["client"]`; `believed` are the proxies, `*` is any.

    Each proxy adds the address that it saw at the right end of `X-Forwarded-For`: from there the first that is no
    proxy of ours is the caller's. Where any proxy is believed, only the last can be: what stands left of it is the
    caller's own writing.
    """
    inner: ASGIApp = ProxyHeadersMiddleware(app, trusted_hosts=believed)  # type: ignore[arg-type, assignment]
    return _LastAddress(inner) if believed.strip() == "*" else inner


class _LastAddress:
    """Leaves nothing of `X-Forwarded-For` but its last address."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on a request."""
        headers = scope.get("headers", [])
        found = [value for name, value in headers if name == _NAME]
        if found:
            last = found[-1].rpartition(b",")[2].strip()
            kept = [(name, value) for name, value in headers if name != _NAME]
            scope = {**scope, "headers": [*kept, (_NAME, last)]}
        await self._app(scope, receive, send)
