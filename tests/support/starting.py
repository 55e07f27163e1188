"""Starts of servers and engines: one at a time, and begun again once where Triton crashed over the load."""

from __future__ import annotations

import fcntl
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ocrvl.launcher.server import ServerFailed, ServerOptions, TritonServer
from perf.harness.server import server_options

OVERLOAD = re.compile(r"crashed|ended by signal|hint: overload|stub process", re.IGNORECASE)
"""What a start that failed says of Triton 2.51 where its models' processes had to wait for a processor."""


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Wait until no other process of the tests is in such a block: starts beside each other overload Triton."""
    with Path(__file__).open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def start_server(
    options: ServerOptions | None = None, on_line: Callable[[str], None] = lambda _: None
) -> Iterator[TritonServer]:
    """A server that is ready; the one that is shipped, with all its models, if no options are given.

    A start that Triton did not survive is warned of and begun again, once.
    """
    with ExitStack() as stack:
        with one_at_a_time():
            try:
                server = start(stack, options or server_options(), on_line)
            except ServerFailed as failure:
                if not OVERLOAD.search(str(failure)):
                    raise
                warnings.warn(f"the server is started again: {failure}", stacklevel=3)
                server = start(stack, options or server_options(), on_line)
        yield server


def start(stack: ExitStack, options: ServerOptions, on_line: Callable[[str], None]) -> TritonServer:
    """A server that is ready, and is stopped with the stack; what fails is stopped at once."""
    with ExitStack() as starting:
        server = starting.enter_context(TritonServer(options, on_line))

        def give_up_after_a_crash(_models: list[str], _seconds: float) -> None:
            # Triton may hang over its own crash
            if end := server.describe_end():
                raise ServerFailed(end)

        try:
            server.wait_until_ready(give_up_after_a_crash)
        except ServerFailed as failure:
            raise ServerFailed(f"{failure}\n{server.describe_end()}") from None
        stack.push(starting.pop_all())
        return server
