"""Keeps an engine running: notices when it dies or stalls, fails what it was doing, starts it again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol

from ocrvl.errors import Unavailable
from ocrvl.messages import PackedImage, Reading
from ocrvl.metrics.definitions import RestartReason
from ocrvl.models.engine.reader import Engine
from ocrvl.options import Options
from ocrvl.restart import FailureHistory, RestartPolicy
from ocrvl.wire import EngineState

_CHECK_SECONDS: Final = 0.5


@dataclass(frozen=True, kw_only=True)
class EnginePolicy(RestartPolicy):
    """When an engine is restarted; one that has made no step for `stall_seconds` while it had work has stalled."""

    stall_seconds: float = 60.0


class RunningEngine(Engine, Protocol):
    """An engine that was started."""

    @property
    def is_dead(self) -> bool:
        """Whether it can never answer again."""

    @property
    def last_step(self) -> float:
        """When it last did a step, in seconds of `time.monotonic`."""

    async def trim_memory(self) -> bool:
        """Return memory that was freed to the system; whether there was any."""

    def kill(self) -> None:
        """End its processes at once. Blocks."""

    def stop(self) -> None:
        """End its processes in order. Blocks."""


class Supervisor:
    """An engine that comes back. Its coroutines belong to one event loop.

    `start` starts an engine, ready for the first request; `on_state` is told every change, `on_restart` the reason
    of every restart, `on_trimmed` that the engine has returned memory, `log` a line for the operator.
    """

    def __init__(
        self,
        start: Callable[[], Awaitable[RunningEngine]],
        policy: EnginePolicy,
        *,
        on_state: Callable[[EngineState], None] = lambda _state: None,
        on_restart: Callable[[RestartReason], None] = lambda _reason: None,
        on_trimmed: Callable[[], None] = lambda: None,
        log: Callable[[str], None] = lambda _line: None,
        check_seconds: float = _CHECK_SECONDS,
    ) -> None:
        self._start = start
        self._policy = policy
        self._on_state = on_state
        self._on_restart = on_restart
        self._on_trimmed = on_trimmed
        self._log = log
        self._check_seconds = check_seconds
        self._engine: RunningEngine | None = None
        # its start is work too
        self._has_worked = True
        # the one that has failed to return memory
        self._keeping: RunningEngine | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._readers: set[asyncio.Task[object]] = set()
        self._forsaken: set[asyncio.Task[object]] = set()
        self._busy_since = 0.0
        self._failures = FailureHistory(policy)
        self._suspicion = asyncio.Event()
        self.state = EngineState.STARTING

    async def run(self) -> None:
        """Start the engine and watch it from now on. Raises what a first start raises."""
        self._engine = await self._start()
        self._set_state(EngineState.READY)
        self._watcher = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Stop watching, and the engine."""
        if self._watcher:
            self._watcher.cancel()
            with suppress(asyncio.CancelledError):
                await self._watcher
        if self._engine:
            await asyncio.to_thread(self._engine.stop)

    async def read(
        self,
        image: PackedImage,
        options: Options,
        request_id: str,
        *,
        trace_headers: Mapping[str, str] | None = None,
        on_text: Callable[[str], None] | None = None,
    ) -> Reading:
        """Read one image. Raises what the engine raises, and `Unavailable` where it stops meanwhile."""
        if self._engine is None:
            what = "has failed too often" if self.state is EngineState.GAVE_UP else "is restarting"
            raise Unavailable(f"the engine {what}: send the request again in a while")
        task = asyncio.current_task()
        assert task is not None
        if not self._readers:
            self._busy_since = time.monotonic()
        self._readers.add(task)
        self._has_worked = True
        try:
            return await self._engine.read(image, options, request_id, trace_headers=trace_headers, on_text=on_text)
        except asyncio.CancelledError:
            if task not in self._forsaken:
                raise
            task.uncancel()
            raise Unavailable("the engine stopped while it read this image: send it again in a while") from None
        except Unavailable:
            self._suspicion.set()
            raise
        finally:
            self._readers.discard(task)
            self._forsaken.discard(task)

    async def trim_memory(self) -> None:
        """Have the engine, where there is one that has worked since the last time, return memory that it has freed.

        One that fails is not told to again.
        """
        engine = self._engine
        if engine is None or engine is self._keeping or not self._has_worked:
            return
        self._has_worked = bool(self._readers)
        try:
            if await engine.trim_memory():
                self._on_trimmed()
        except Exception as error:
            self._keeping = engine
            # of an engine that has died meanwhile there is more to say, elsewhere
            if engine is self._engine and not engine.is_dead:
                self._log(f"the engine cannot trim its memory, and is not told to again: {error!r}")

    @property
    def last_step(self) -> float | None:
        """When the engine last did a step, in seconds of `time.monotonic`; None while there is none."""
        return self._engine.last_step if self._engine else None

    async def _watch(self) -> None:
        while self.state is not EngineState.GAVE_UP:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._suspicion.wait(), self._check_seconds)
            self._suspicion.clear()
            assert self._engine is not None
            if self._engine.is_dead:
                await self._recover(self._engine, RestartReason.DIED)
            elif self._is_stalled(self._engine):
                await self._recover(self._engine, RestartReason.STALLED)

    def _is_stalled(self, engine: RunningEngine) -> bool:
        last_sign = max(engine.last_step, self._busy_since)
        return bool(self._readers) and time.monotonic() - last_sign > self._policy.stall_seconds

    async def _recover(self, engine: RunningEngine, reason: RestartReason) -> None:
        self._engine = None
        self._set_state(EngineState.STARTING)
        self._log(f"the engine {reason}; {len(self._readers)} images in flight fail with UNAVAILABLE")
        for task in self._readers:
            self._forsaken.add(task)
            task.cancel()
        try:
            await asyncio.to_thread(engine.kill)
        except Exception as error:
            self._log(f"the engine's processes could not all be ended: {error!r}")
        while self._engine is None:
            failures = self._failures.add()
            if not self._policy.allows(failures):
                self._set_state(EngineState.GAVE_UP)
                self._log(f"the engine failed {failures} times within the failure window: it is not restarted again")
                return
            await asyncio.sleep(self._policy.pause(failures))
            self._on_restart(reason)
            began = time.monotonic()
            try:
                self._engine = await self._start()
            except Exception as error:
                self._log(f"the engine could not be started again: {error!r}")
        self._log(f"the engine is ready again, {time.monotonic() - began:.1f} s after its restart began")
        self._has_worked = True
        self._set_state(EngineState.READY)

    def _set_state(self, state: EngineState) -> None:
        self.state = state
        self._on_state(state)
