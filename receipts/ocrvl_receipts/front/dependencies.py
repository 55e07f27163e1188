"""What routes depend on, made once with the application, and the errors that only they have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Protocol

from fastapi import Depends, Request

from ocrvl_gateway.errors import Refusal
from ocrvl_gateway.metrics import HttpMetrics
from ocrvl_receipts.events import Record
from ocrvl_receipts.settings import FrontSettings
from ocrvl_receipts.store import ObjectInfo


class NotFound(Refusal):
    """No such upload, or no result of it yet."""

    status, code = 404, "not_found"


class Unavailable(Refusal):
    """The store or the broker cannot be reached, or does not do what it is asked."""

    status, code = 503, "unavailable"


class Sender(Protocol):
    """What is asked of Kafka's producer."""

    async def send(self, topic: str, record: Record) -> None:
        """As `Producer.send`."""

    async def is_connected(self) -> bool:
        """As `Producer.is_connected`."""

    async def close(self) -> None:
        """As `Producer.close`."""


class Store(Protocol):
    """What is asked of the object store; raises `StoreError`."""

    async def describe(self, bucket: str, key: str) -> ObjectInfo:
        """As `ObjectStore.describe`."""

    async def find(self, bucket: str, key: str) -> bytes | None:
        """As `ObjectStore.find`."""


@dataclass
class Services:
    """The settings and what was made of them. `sender` is made when the application starts, in its loop."""

    settings: FrontSettings
    store: Store
    metrics: HttpMetrics
    sender: Sender | None = None


def get_services(request: Request) -> Services:
    """Those of the application that serves a request."""
    services: Services = request.app.state.services
    return services


ServicesDep = Annotated[Services, Depends(get_services)]
