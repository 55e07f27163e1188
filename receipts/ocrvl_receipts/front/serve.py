"""The front end as a process."""

from __future__ import annotations

import uvicorn

from ocrvl_gateway.middleware.proxies import trust_proxies
from ocrvl_gateway.protocol import protocol_class
from ocrvl_receipts.front.app import create_app
from ocrvl_receipts.settings import FrontSettings

_SEND_SECONDS = 60.0


def serve(settings: FrontSettings) -> None:
    """Serve until Ctrl-C or SIGTERM."""
    config = uvicorn.Config(
        lambda: trust_proxies(create_app(settings), settings.forwarded_allow_ips),
        factory=True,
        host=settings.host,
        port=settings.port,
        loop="auto",
        http=protocol_class(_SEND_SECONDS),
        ws="none",
        proxy_headers=False,
        server_header=False,
        date_header=False,
        access_log=False,
        timeout_graceful_shutdown=settings.drain_timeout,
    )
    uvicorn.Server(config).run()
