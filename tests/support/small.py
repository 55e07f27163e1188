"""A real Triton server without an engine: it loads the model `cancel` alone, and so starts in seconds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from ocrvl.launcher.server import TritonServer
from ocrvl.wire import Model
from perf.harness.server import server_options
from tests.support.starting import start_server

OPTIONS = server_options(exit_timeout=5, models=(Model.CANCEL.value,))


@contextmanager
def small_server(**changes: Any) -> Iterator[TritonServer]:
    """The server, ready; `changes` are fields of `ServerOptions`."""
    with start_server(replace(OPTIONS, **changes)) as running:
        yield running
