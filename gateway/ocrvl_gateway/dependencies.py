"""What routes depend on, made once with the application."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from ocrvl_gateway.fetch import Fetcher
from ocrvl_gateway.metrics import GatewayMetrics
from ocrvl_gateway.reader import Reader
from ocrvl_gateway.settings import GatewaySettings


@dataclass(frozen=True)
class Services:
    """The settings and what was made of them."""

    settings: GatewaySettings
    reader: Reader
    fetcher: Fetcher
    metrics: GatewayMetrics


def get_services(request: Request) -> Services:
    """Those of the application that serves a request."""
    services: Services = request.app.state.services
    return services


ServicesDep = Annotated[Services, Depends(get_services)]
