"""`ocrvl gateway`: HTTP in front of a server, for those who do not speak Triton's protocol."""

from __future__ import annotations

from contextlib import redirect_stderr
from importlib.util import find_spec
from io import StringIO

import typer

from ocrvl_cli.terminal import Console

_PACKAGES = ("aiohttp", "fastapi", "ocrvl_gateway", "prometheus_client", "pybase64", "pydantic_settings", "uvicorn")


def gateway(context: typer.Context) -> None:
    """Serve OpenAI's chat completions, PaddleOCR's service and a web page, in front of a running server.

    What follows are its settings, which `ocrvl gateway --help` lists.

    Example: ocrvl gateway --server localhost:8001 --port 8080
    """
    console = Console(stderr=True)
    if missing := [name for name in _PACKAGES if find_spec(name) is None]:
        console.print(f"not installed: {', '.join(missing)}; for the gateway, install ocrvl with its extra 'gateway'")
        raise typer.Exit(1)
    from ocrvl_gateway.command_settings import InvalidSettings
    from ocrvl_gateway.settings import read_settings

    messages = StringIO()
    try:
        with redirect_stderr(messages):
            settings = read_settings(context.args)
    except SystemExit:
        # argparse repeats what it does not know
        console.print(messages.getvalue(), end="")
        raise
    except InvalidSettings as error:
        console.print(str(error), style="red")
        raise typer.Exit(2) from None
    from ocrvl_gateway.serve import serve

    serve(settings)
