"""`ocrvl gateway`: HTTP in front of a server, for those who do not speak Triton's protocol."""

from __future__ import annotations

import typer

from ocrvl_cli.extras import require_packages, settings_of

_PACKAGES = ("aiohttp", "fastapi", "ocrvl_gateway", "prometheus_client", "pybase64", "pydantic_settings", "uvicorn")


def gateway(context: typer.Context) -> None:
    """Serve OpenAI's chat completions, PaddleOCR's service and a web page, in front of a running server.

    What follows are its settings, which `ocrvl gateway --help` lists.

    Example: ocrvl gateway --server localhost:8001 --port 8080
    """
    require_packages(_PACKAGES, "gateway", "the gateway")
    from ocrvl_gateway.settings import read_settings

    settings = settings_of(lambda: read_settings(context.args))
    from ocrvl_gateway.serve import serve

    serve(settings)
