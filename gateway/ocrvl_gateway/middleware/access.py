"""What a request must bring, by the route that it is for. A route that is not listed needs a key and has limits."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from starlette.routing import BaseRoute, Match
from starlette.types import Scope

PUBLIC_ROUTES: Final = frozenset({"/", "/static", "/healthz", "/health", "/readyz", "/metrics", "/openapi.json"})
"""Routes that are answered without a key and without limits."""

METADATA_ROUTES: Final = frozenset({"/v1/models", "/v1/models/{model}", "/models", "/models/{model}"})
"""Routes that need a key but ask nothing of the server."""

# a router's own pattern ends before a line break as well as before the end
_PATH: Final = re.compile(r"[^\x00-\x1f\x7f]*")


@dataclass(frozen=True)
class RouteAccess:
    """What the route `path`, as it was declared, asks of a request."""

    path: str

    @property
    def needs_key(self) -> bool:
        """Whether an API key is required, where there are keys."""
        return self.path not in PUBLIC_ROUTES

    @property
    def is_inference(self) -> bool:
        """Whether it asks something of the server: limits are for these."""
        return self.needs_key and self.path not in METADATA_ROUTES


def access_of(routes: Sequence[BaseRoute], scope: Scope) -> RouteAccess | None:
    """The access of the route that the router would take, by the router's own rules; None where there is no route."""
    if not _PATH.fullmatch(scope["path"]):
        return None
    partial: Any = None
    for route in routes:
        match, _ = route.matches(scope)
        if match is Match.FULL:
            return RouteAccess(_declared_path(route))
        if match is Match.PARTIAL and partial is None:
            partial = route
    return None if partial is None else RouteAccess(_declared_path(partial))


def _declared_path(route: Any) -> str:
    path: str = route.path
    return path
