"""A running engine of vLLM's."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import psutil

from ocrvl.engine_settings import EngineSettings
from ocrvl.messages import PackedImage, Reading
from ocrvl.models.engine.vllm_engine.adapters import LoadedAdapters, adapter_arguments, check_class
from ocrvl.models.engine.vllm_engine.arguments import (
    THREADS_BESIDE_A_GPU,
    check_encoder_precision,
    default_executor,
    default_scheduler,
    default_worker,
    prepare,
)
from ocrvl.models.engine.vllm_engine.inputs import InputRenderer
from ocrvl.models.engine.vllm_engine.outcomes import finish_reason, translate_error
from ocrvl.options import Options
from ocrvl.processes import descendants, kill
from ocrvl.vllm_plugin.worker import TRIM_MEMORY

if TYPE_CHECKING:
    from vllm.v1.engine.async_llm import AsyncLLM

_TRIM_SECONDS: Final = 5.0
"""How long is waited for the engine to return memory. It is done between two steps, even where nobody waits any more.
"""
_STOP_SECONDS = 20.0
"""How long the engine's process may take to end before it is killed; vLLM's own 5 s are just too few on a CPU."""


class VllmEngine:
    """A running engine. All its coroutines belong to one event loop.

    `llm` is vLLM's own, `inputs` renders what it is sent, `steps` follows what it does; it runs in `processes`.
    """

    def __init__(
        self, settings: EngineSettings, llm: AsyncLLM, steps: StepWatch, processes: set[psutil.Process]
    ) -> None:
        self.llm = llm
        self._settings = settings
        self._steps = steps
        self._processes = processes
        self.inputs = InputRenderer(settings, llm.model_config)
        self._adapters = LoadedAdapters({})

    @classmethod
    def start(cls, settings: EngineSettings) -> VllmEngine:
        """Start the engine's processes and wait until they have loaded the model; 15 s and more.

        Blocks, so that an event loop that serves others meanwhile calls it in a thread.
        """
        prepare(settings)
        from vllm.engine.arg_utils import AsyncEngineArgs
        from vllm.platforms import current_platform
        from vllm.v1.engine.async_llm import AsyncLLM

        if not current_platform.is_cpu():
            os.environ.setdefault("OMP_NUM_THREADS", THREADS_BESIDE_A_GPU)
        steps = StepWatch()
        before = descendants()
        try:
            # vLLM's client makes sockets for an event loop, and asks for one even where it is not running
            asyncio.set_event_loop(asyncio.new_event_loop())
            own = {**default_executor(settings.engine_args), **adapter_arguments(settings)}
            args = AsyncEngineArgs(**{**own, **settings.engine_args})
            check_encoder_precision(settings)
            check_class(settings)
            args.scheduler_cls = args.scheduler_cls or default_scheduler()
            args.worker_cls = default_worker(args.worker_cls)
            llm = AsyncLLM.from_engine_args(args, stat_loggers=[steps.logger_factory()])
        except BaseException:
            kill(descendants() - before)
            raise
        return cls(settings, llm, steps, descendants() - before)

    async def load_adapters(self) -> None:
        """Load the adapters of its settings, once, before its first request."""
        self._adapters = await LoadedAdapters.load(self.llm, self._settings)

    def stop(self) -> None:
        """Stop the engine's processes; their memory is free when this returns. Blocks."""
        self.llm.shutdown(timeout=_STOP_SECONDS)
        kill(self._processes)

    def kill(self) -> None:
        """End the engine's processes at once, whatever they are doing, and free what this process held for them."""
        kill(self._processes)
        # what fails in cleaning up after processes that are gone is of no consequence
        with suppress(Exception):
            self.llm.shutdown(timeout=_STOP_SECONDS)

    @property
    def is_dead(self) -> bool:
        """Whether it can never answer again."""
        return self.llm.errored or not all(process.is_running() for process in self._processes)

    @property
    def last_step(self) -> float:
        """When it last did a step of its work, in seconds of `time.monotonic`."""
        return self._steps.last

    @property
    def max_num_seqs(self) -> int:
        """Images that it runs at once."""
        return int(self.llm.vllm_config.scheduler_config.max_num_seqs)

    @property
    def max_num_batched_tokens(self) -> int:
        """Tokens that it takes in one step, of prompts and of images."""
        return int(self.llm.vllm_config.scheduler_config.max_num_batched_tokens)

    async def trim_memory(self) -> bool:
        """Have the engine's processes return memory that they have freed, between two of its steps.

        Whether they had any, as far as they have said so within some seconds. Raises what vLLM raises where they can
        not.
        """
        if self._settings.can_trim_memory:
            with suppress(TimeoutError):
                return any(await asyncio.wait_for(self.llm.collective_rpc(TRIM_MEMORY), _TRIM_SECONDS))
        return False

    async def read(
        self,
        image: PackedImage,
        options: Options,
        request_id: str,
        *,
        trace_headers: Mapping[str, str] | None = None,
        on_text: Callable[[str], None] | None = None,
    ) -> Reading:
        """Generate one image's text; `on_text` gets it piece by piece, in whole characters, as it comes.

        Without `on_text` vLLM is asked for the end result alone, and not one token passes through here. Cancelling
        the coroutine ends generation in vLLM. Raises `InvalidArgument` for an image or options that the model can
        not take, `Unavailable` where the engine is gone.
        """
        adapter = self._adapters.find(options, image.task)
        engine_input = self.inputs.render(image, options.prompt, request_id)
        num_input_tokens = len(engine_input["prompt_token_ids"])
        params = self.inputs.sampling_params(image.task, options, num_input_tokens, stream=on_text is not None)
        traced = trace_headers if trace_headers and await self.llm.is_tracing_enabled() else None
        text, num_output_tokens = "", 0
        try:
            async for output in self.llm.generate(
                engine_input, params, request_id, lora_request=adapter, trace_headers=traced
            ):
                completion = output.outputs[0]
                text += completion.text
                num_output_tokens += len(completion.token_ids)
                if on_text and completion.text:
                    on_text(completion.text)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            if known := translate_error(error):
                raise known from error
            raise
        return Reading(
            index=image.index,
            text=text,
            finish_reason=finish_reason(completion.finish_reason),
            num_input_tokens=num_input_tokens,
            num_output_tokens=num_output_tokens,
        )


class StepWatch:
    """When the engine last did a step: vLLM tells it to the loggers of its statistics."""

    def __init__(self) -> None:
        self.last = time.monotonic()

    def logger_factory(self) -> Any:
        """What makes a logger for vLLM that notes the time of every step."""
        from vllm.v1.metrics.loggers import StatLoggerBase

        watch = self

        class StepLogger(StatLoggerBase):  # type: ignore[misc, unused-ignore]
            def __init__(self, vllm_config: Any, engine_index: int = 0) -> None:
                del vllm_config, engine_index

            def record(self, *_args: Any, **_kwargs: Any) -> None:
                watch.last = time.monotonic()

            def log_engine_initialized(self) -> None:
                """Nothing to say."""

        return StepLogger
