"""A real Triton server without an engine: it loads the model `cancel` alone, and so starts in seconds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from ocrvl.launcher.locate import find_model_repository
from ocrvl.launcher.server import ServerOptions, TritonServer
from ocrvl.wire import Model

OPTIONS = ServerOptions(
    find_model_repository(), http_port=0, grpc_port=0, metrics_port=0, exit_timeout=5, models=(Model.CANCEL.value,)
)


@contextmanager
def small_server(**changes: Any) -> Iterator[TritonServer]:
    """The server, ready; `changes` are fields of `ServerOptions`."""
    with TritonServer(replace(OPTIONS, **changes)) as running:
        running.wait_until_ready()
        yield running
