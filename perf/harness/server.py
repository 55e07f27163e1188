"""Triton servers on ports that are free."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from ocrvl.launcher.exposure import Endpoint
from ocrvl.launcher.locate import find_model_repository
from ocrvl.launcher.server import ServerOptions, TritonServer


def server_options(
    repository: Path | None = None,
    *,
    models: tuple[str, ...] = (),
    environment: Mapping[str, str] = MappingProxyType({}),
    extra_arguments: tuple[str, ...] = (),
    opened: tuple[Endpoint, ...] = (),
    exit_timeout: int = 30,
) -> ServerOptions:
    """Options of a server on free ports, of the repository that is shipped if none is given."""
    return ServerOptions(
        repository or find_model_repository(),
        http_port=0,
        grpc_port=0,
        metrics_port=0,
        models=models,
        environment=dict(environment),
        extra_arguments=extra_arguments,
        opened=opened,
        exit_timeout=exit_timeout,
    )


@contextmanager
def start_server(
    options: ServerOptions | None = None, on_line: Callable[[str], None] = lambda _: None
) -> Iterator[TritonServer]:
    """A server that is ready; the one that is shipped, with all its models, if no options are given.

    `on_line` is handed every line of its output. Raises `ServerFailed`.
    """
    with TritonServer(options or server_options(), on_line) as server:
        server.wait_until_ready()
        yield server
