"""The model `paddleocr_vl`: an engine under supervision, its admission, its control channel."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import AbstractAsyncContextManager, nullcontext

import prometheus_client

from ocrvl.control_channel.address import channel_folder, socket_path
from ocrvl.control_channel.server import ControlServer
from ocrvl.engine_settings import EngineSettings
from ocrvl.metrics.definitions import EngineMetrics, Outcome
from ocrvl.metrics.mirror import FamilyFactory
from ocrvl.models.background import end_with_server, publish_metrics, repeat, watch_callers
from ocrvl.models.cancel_scope import CancelRegistry
from ocrvl.models.engine.admission import EngineAdmission
from ocrvl.models.engine.devices import device_environment
from ocrvl.models.engine.dispatcher import EngineDispatcher
from ocrvl.models.engine.request import EngineRequest
from ocrvl.models.engine.startup_lock import startup_lock
from ocrvl.models.engine.supervisor import EnginePolicy, Supervisor
from ocrvl.models.engine.vllm_engine import VllmEngine, gpu_memory
from ocrvl.models.engine.warmup import warm_up
from ocrvl.postprocess import load_paddle_functions
from ocrvl.processes import descendants, kill
from ocrvl.settings import EngineModelSettings, parse_parameters
from ocrvl.triton.context import Call, Log, ModelContext
from ocrvl.triton.loop import LoopThread
from ocrvl.wire import EngineState, Model

_ABANDONED_SECONDS = 0.2
"""How often it is checked whether callers have gone away."""


class EngineModel:
    """One engine. `take` is for `execute`; the other methods are called once each, `start` before everything."""

    def __init__(self, context: ModelContext, families: FamilyFactory, log: Log) -> None:
        self._context = context
        self._families = families
        self._log = log
        self._metrics = EngineMetrics()
        self._settings = parse_parameters(EngineModelSettings, context.parameters, context.config_file)
        self._engine_settings = EngineSettings.from_folder(context.version_folder(Model.ENGINE))
        for adapter in self._engine_settings.adapters:
            self._metrics.adapter_images.labels(adapter)
        self._loop = LoopThread("engine")
        self._registry = CancelRegistry()
        self._channel = ControlServer(socket_path(channel_folder(), context.replica), self._registry.cancel)
        self._supervisor = Supervisor(
            self._start_engine,
            EnginePolicy(
                stall_seconds=self._settings.stall_seconds,
                max_failures=self._settings.max_failures,
                failure_window_seconds=self._settings.failure_window_seconds,
            ),
            on_state=self._on_state,
            on_restart=lambda reason: self._metrics.restarts.labels(reason).inc(),
            on_trimmed=self._metrics.memory_trims.inc,
            log=lambda line: log.warning(f"{context.replica}: {line}"),
        )

    def start(self) -> None:
        """Start the engine and everything around it; returns when the first request will be as fast as the tenth."""
        os.environ.update(
            device_environment(
                self._context.kind,
                self._context.device,
                self._context.replica,
                self._settings.gpus,
                self._settings.cpu_cores,
                os.environ,
            )
        )
        if not self._settings.packed_encoder:
            os.environ.setdefault("VLLM_PLUGINS", "")
        max_num_seqs = self._engine_settings.max_num_seqs
        prefetch_requests = self._settings.prefetch_requests
        self._admission = EngineAdmission(
            max_num_seqs + (max(1, max_num_seqs // 8) if prefetch_requests is None else prefetch_requests),
            # where this is the only engine, a request that is held could not be taken by another meanwhile
            hold_seconds=self._settings.hold_seconds if self._context.replicas > 1 else 0.0,
            on_availability=self._channel.set_availability,
        )
        self._metrics.image_limit.set(self._admission.limit)
        end_with_server()
        self._loop.run(self._channel.start())
        self._loop.run(self._supervisor.run())
        self._dispatcher = EngineDispatcher(
            self._supervisor,
            self._channel,
            load_paddle_functions(),
            self._engine_settings.grid,
            admission=self._admission,
            loop=self._loop,
            registry=self._registry,
            on_finished=self._on_finished,
            adapters=self._engine_settings.adapters,
        )
        self._stop_watching = watch_callers(self._dispatcher.end_abandoned, _ABANDONED_SECONDS)
        seconds = self._settings.trim_memory_seconds
        self._stop_trimming = (
            repeat(lambda: self._loop.run(self._supervisor.trim_memory()), seconds, "memory")
            if seconds
            else lambda: None
        )
        self._publisher = publish_metrics(
            self._metrics,
            self._context.replica,
            self._families,
            self._log,
            before_publish=[self._set_gauges],
            # where vLLM counts
            more=[prometheus_client.REGISTRY],
        )

    def take(self, call: Call) -> None:
        """Take a request in; waits while the engine is full."""
        self._dispatcher.take(call)

    @property
    def is_ready(self) -> bool:
        """Whether the engine can take requests (newer Tritons ask)."""
        return self._supervisor.state is EngineState.READY

    def stop(self) -> None:
        """Wait for the requests that are running, then stop everything."""
        self._loop.drain()
        self._stop_watching()
        self._stop_trimming()
        self._publisher.stop()
        self._loop.run(self._channel.stop())
        self._loop.run(self._supervisor.stop())
        # an engine that was being started meanwhile is nobody's
        kill(descendants())
        self._loop.stop()

    async def _start_engine(self) -> VllmEngine:
        async with self._startup_lock():
            engine = await asyncio.to_thread(VllmEngine.start, self._engine_settings)
            await engine.load_adapters()
            if self._settings.warm_up:
                await warm_up(engine, self._engine_settings.grid, engine.max_num_batched_tokens)
            return engine

    def _startup_lock(self) -> AbstractAsyncContextManager[None]:
        if self._context.kind != "GPU" or not self._engine_settings.measures_memory:
            return nullcontext()
        return startup_lock(channel_folder() / f"start-gpu{self._context.device}.lock")

    def _on_state(self, state: EngineState) -> None:
        self._metrics.state.set(state)
        self._admission.set_up(state is EngineState.READY)

    def _set_gauges(self) -> None:
        self._metrics.images_in_flight.set(self._admission.admitted)
        if (last_step := self._supervisor.last_step) is not None:
            self._metrics.last_step.set(time.time() - (time.monotonic() - last_step))
        for device, memory in gpu_memory().items():
            self._metrics.gpu_memory_used.labels(device).set(memory.used)
            self._metrics.gpu_memory_reserved.labels(device).set(
                memory.total * self._engine_settings.gpu_memory_utilization
            )

    def _on_finished(self, request: EngineRequest) -> None:
        self._metrics.requests.labels(request.outcome).inc()
        self._metrics.request_seconds.observe(request.seconds)
        self._metrics.admission_wait.observe(request.waited)
        if request.outcome is Outcome.OK:
            self._metrics.images.inc(request.images)
            for adapter, count in request.adapters().items():
                self._metrics.adapter_images.labels(adapter).inc(count)
        if request.cancelled_by:
            self._metrics.cancellations.labels(request.cancelled_by).inc()
        if self._settings.log_requests:
            # a document of many pages would bury the other requests; what goes wrong is always told
            write = self._log.verbose if request.is_part and request.outcome is Outcome.OK else self._log.info
            write(request.line())
