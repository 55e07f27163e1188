"""Starts of servers and engines: one at a time, and begun again once where Triton crashed over the load."""

from __future__ import annotations

import fcntl
import re
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil

from ocrvl.launcher.server import ServerFailed, ServerOptions, TritonServer
from perf.harness.server import server_options

HUNG_SECONDS = 90.0
LIFE = 2.0
"""Seconds of a processor, far less than what loads gets within `HUNG_SECONDS` on a busy machine."""

OVERLOAD = re.compile(r"crashed|ended by signal|hint: overload|stub process|Triton hung", re.IGNORECASE)
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
    """A server that is ready, and is stopped with the stack; what fails is killed at once."""
    with ExitStack() as starting:
        server = starting.enter_context(TritonServer(options, on_line))
        try:
            server.wait_until_ready(Watch(server))
        except ServerFailed as failure:
            server.kill()
            raise ServerFailed(f"{failure}\n{server.describe_end()}") from None
        stack.push(starting.pop_all())
        return server


class Watch:
    """Ends the wait for a server that has crashed without ending, or that hangs with all its models loaded."""

    def __init__(self, server: TritonServer) -> None:
        self._server = server
        self._looked, self._worked, self._used = 0.0, time.monotonic(), 0.0

    def __call__(self, _models: list[str], _seconds: float) -> None:
        now = time.monotonic()
        if now - self._looked < 5:
            return
        self._looked = now
        if end := self._server.describe_end():
            raise ServerFailed(end)
        if (used := processor_seconds(self._server.pid)) > self._used + LIFE:
            self._worked, self._used = now, used
        elif now - self._worked > HUNG_SECONDS:
            raise ServerFailed(f"Triton hung: its processes have done nothing for {HUNG_SECONDS:.0f} s")


def processor_seconds(pid: int) -> float:
    """Of a process and all below it."""
    seconds = 0.0
    with suppress(psutil.NoSuchProcess):
        for process in (root := psutil.Process(pid)), *root.children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                seconds += process.cpu_times().user + process.cpu_times().system
    return seconds
