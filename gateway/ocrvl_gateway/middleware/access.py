"""What a request is let do, by the route that it is for. A route that is not listed here wants a key and has limits."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from starlette.routing import BaseRoute, Match
from starlette.types import Scope

OPEN_ROUTES: Final = frozenset({"/", "/static", "/healthz", "/health", "/readyz", "/metrics", "/openapi.json"})
"""Routes that are answered without a key and without limits."""

LIGHT_ROUTES: Final = frozenset({"/v1/models", "/v1/models/{model}", "/models", "/models/{model}"})
"""Routes that want a key but give the server no work."""

# a router's own pattern ends before a line break as well as before the end
_PATH: Final = re.compile(r"[^\x00-\x1f\x7f]*")


@dataclass(frozen=True)
class Access:
    """What the route `path`, as it was declared, asks of a request."""

    path: str

    @property
    def needs_key(self) -> bool:
        """Whether a key is asked for, where there are keys."""
        return self.path not in OPEN_ROUTES

    @property
    def has_work(self) -> bool:
        """Whether it gives the server work: limits are for these."""
        return self.needs_key and self.path not in LIGHT_ROUTES


def access_of(routes: Sequence[BaseRoute], scope: Scope) -> Access | None:
    """The access of the route that the router would take, by the router's own rules; None where there is no route."""
    if not _PATH.fullmatch(scope["path"]):
        return None
    found: Any = None
    for route in routes:
        match, _ = route.matches(scope)
        if match is Match.FULL:
            return Access(_declared(route))
        if match is Match.PARTIAL and found is None:
            found = route
    return None if found is None else Access(_declared(found))


def _declared(route: Any) -> str:
    path: str = route.path
    return path
