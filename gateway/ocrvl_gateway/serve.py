"""The gateway as a process: uvicorn with the faster loop and parser where they are installed."""

from __future__ import annotations

import uvicorn

from ocrvl_gateway.app import create_app
from ocrvl_gateway.middleware.proxies import trust_proxies
from ocrvl_gateway.protocol import protocol_class
from ocrvl_gateway.reader import connect
from ocrvl_gateway.settings import GatewaySettings


def serve(settings: GatewaySettings) -> None:
    """Serve until Ctrl-C or SIGTERM."""
    uvicorn.Server(server_config(settings)).run()


def server_config(settings: GatewaySettings) -> uvicorn.Config:
    """How uvicorn runs it. The application is made in uvicorn's loop, to which the reader's connections belong."""
    return uvicorn.Config(
        lambda: trust_proxies(create_app(settings, connect(settings)), settings.forwarded_allow_ips),
        factory=True,
        host=settings.host,
        port=settings.port,
        loop="auto",
        http=protocol_class(settings.send_timeout),
        ws="none",
        proxy_headers=False,
        server_header=False,
        date_header=False,
        access_log=False,
        timeout_graceful_shutdown=settings.drain_timeout,
    )
