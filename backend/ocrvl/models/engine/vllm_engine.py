"""The one module that knows vLLM: starts its engine, hands it ready patches, returns what it read.

Holds for vLLM 0.24 to 0.32. Where versions differ, vLLM itself is asked (the model's own field declarations, the
engine arguments' own names) rather than its version number.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import psutil

from ocrvl import vllm_plugin as plugin
from ocrvl.engine_settings import EngineSettings
from ocrvl.errors import Cancelled, InvalidArgument, OcrError, Unavailable
from ocrvl.imaging.patches import normalize_patches
from ocrvl.messages import PackedImage, Reading
from ocrvl.options import Options
from ocrvl.processes import descendants, kill
from ocrvl.prompts import TASK_PROMPTS, PromptRenderer
from ocrvl.vllm_plugin.scheduler import SCHEDULER
from ocrvl.vllm_plugin.worker import TRIM_MEMORY, WORKER
from ocrvl.wire import DEFAULT_TOKENS, FinishReason, Task

if TYPE_CHECKING:
    from vllm import SamplingParams
    from vllm.v1.engine.async_llm import AsyncLLM

_ENVIRONMENT = {
    # GiB of KV cache on a CPU: vLLM's default there is half the memory
    "VLLM_CPU_KVCACHE_SPACE": "1",
    # shapes of matrices for which a CPU's kernels are kept, of those of images hardly one comes again: with oneDNN's
    # own 1,024 an engine grows by 250 MB in its first 2,000 requests, and is no faster
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "64",
    # the checkpoint is a local folder by now; without this a missing network costs minutes of retries
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    # the model's process has threads and Triton's shared memory, which a forked child would inherit
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
    # ours alone: PaddleX registers one for servers of its own, which every process of vLLM would import and fail with
    "VLLM_PLUGINS": plugin.NAME,
}
"""Set before vLLM is imported, where the operator has not."""

_THREADS_BESIDE_A_GPU: Final = "1"
"""Of torch on the host, where the operator has not said. With a thread for each core, what a step computes there in
microseconds wakes them all; vLLM sets this for the ranks of an engine on several GPUs, and not for one alone.
"""

_REPETITION: Final = {"max_pattern_size": 128, "min_pattern_size": 8, "min_count": 25}
"""When a text only repeats itself: the last 8 to 128 tokens have come 25 times in a row.

Shorter patterns count in their multiples, so nothing under 200 equal tokens ends a text: a line of dot leaders or
underscores across a page is about half of that.
"""
_TABLE_REPETITION: Final = {**_REPETITION, "min_count": 64}
"""For tables, whose empty rows rightly repeat: 64 equal rows in a row, 512 tokens at least.

PaddleOCR, which cuts texts only afterwards, gives tables a hundred times the length of other texts
(`truncate_repetitive_content` in PaddleX's pipeline: 5,000 characters against 50).
"""
_TRIM_SECONDS: Final = 5.0
"""How long is waited for the engine to return memory. It is done between two steps, even where nobody waits any more.
"""
_STOP_SECONDS = 20.0
"""How long the engine's process may take to end before it is killed; vLLM's own 5 s are just too few on a CPU."""


def check_engine_args(settings: EngineSettings) -> None:
    """Raises `ValueError` naming each key of `model.json` that this vLLM's `AsyncEngineArgs` does not have."""
    from vllm.engine.arg_utils import AsyncEngineArgs

    known = {field.name for field in dataclasses.fields(AsyncEngineArgs)}
    if unknown := sorted(set(settings.engine_args) - known):
        raise ValueError(f"{settings.source}: unknown engine arguments: {', '.join(unknown)}")


def run_headless_worker(settings: EngineSettings, node_rank: int) -> None:
    """Be the ranks of an engine on one more machine, until the engine ends; its first machine is number 0.

    The settings are those of the first machine, with `nnodes`, `master_addr` and `master_port`. This is what
    `vllm serve --headless` does, without a second place for the arguments.
    """
    _prepare(settings)
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.v1.executor.multiproc_executor import MultiprocExecutor

    args = AsyncEngineArgs(**{**settings.engine_args, "node_rank": node_rank})
    executor = MultiprocExecutor(args.create_engine_config(headless=True), monitor_workers=False)
    executor.start_worker_monitor(inline=True)


def _prepare(settings: EngineSettings) -> None:
    """Set the environment in which vLLM is imported, and check its arguments."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    check_engine_args(settings)


class VllmEngine:
    """A running engine. All its coroutines belong to one event loop. `llm` is vLLM's own.

    `steps` follows what it does; `processes` are the ones it runs in.
    """

    def __init__(
        self, settings: EngineSettings, llm: AsyncLLM, steps: StepWatch, processes: set[psutil.Process]
    ) -> None:
        self.llm = llm
        self._settings = settings
        self._steps = steps
        self._processes = processes
        self._prompts = PromptRenderer(settings.checkpoint)
        self._max_length: int = llm.model_config.max_model_len
        self._dtype = llm.model_config.dtype
        self._fields = _image_fields()
        self._takes_bytes = plugin.is_registered()

    @classmethod
    def start(cls, settings: EngineSettings) -> VllmEngine:
        """Start the engine's processes and wait until they have loaded the model; 15 s and more.

        Blocks, so that an event loop that serves others meanwhile calls it in a thread.
        """
        _prepare(settings)
        from vllm.engine.arg_utils import AsyncEngineArgs
        from vllm.platforms import current_platform
        from vllm.v1.engine.async_llm import AsyncLLM

        if not current_platform.is_cpu():
            os.environ.setdefault("OMP_NUM_THREADS", _THREADS_BESIDE_A_GPU)
        steps = StepWatch()
        before = descendants()
        try:
            # vLLM's client makes sockets for an event loop, and asks for one even where it is not running
            asyncio.set_event_loop(asyncio.new_event_loop())
            args = AsyncEngineArgs(**{**_executor_on_a_cpu(settings.engine_args), **settings.engine_args})
            args.scheduler_cls = args.scheduler_cls or _scheduler()
            args.worker_cls = _worker(args.worker_cls)
            llm = AsyncLLM.from_engine_args(args, stat_loggers=[steps.logger_factory()])
        except BaseException:
            kill(descendants() - before)
            raise
        return cls(settings, llm, steps, descendants() - before)

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
        engine_input = self.render_input(image, options.prompt, request_id)
        num_input_tokens = len(engine_input["prompt_token_ids"])
        params = self._sampling_params(image.task, options, num_input_tokens, stream=on_text is not None)
        traced = trace_headers if trace_headers and await self.llm.is_tracing_enabled() else None
        text, num_output_tokens = "", 0
        try:
            async for output in self.llm.generate(engine_input, params, request_id, trace_headers=traced):
                completion = output.outputs[0]
                text += completion.text
                num_output_tokens += len(completion.token_ids)
                if on_text and completion.text:
                    on_text(completion.text)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            if known := _translate(error):
                raise known from error
            raise
        return Reading(
            index=image.index,
            text=text,
            finish_reason=_finish_reason(completion.finish_reason),
            num_input_tokens=num_input_tokens,
            num_output_tokens=num_output_tokens,
        )

    def _sampling_params(self, task: Task, options: Options, prompt_length: int, *, stream: bool) -> SamplingParams:
        from vllm.sampling_params import (
            RepetitionDetectionParams,
            RequestOutputKind,
            SamplingParams,
            StructuredOutputsParams,
        )

        repetition = None
        if options.stop_repetition:
            repetition = RepetitionDetectionParams(**(_TABLE_REPETITION if task is Task.TABLE else _REPETITION))

        structure = None
        if options.json_schema is not None or options.regex is not None:
            structure = StructuredOutputsParams(json=options.json_schema, regex=options.regex)
        return SamplingParams(
            temperature=options.temperature,
            top_p=options.top_p,
            repetition_penalty=options.repetition_penalty,
            seed=options.seed,
            stop=options.stop,
            max_tokens=self._output_budget(options.max_tokens, prompt_length),
            structured_outputs=structure,
            # spotting says where text is by special tokens
            skip_special_tokens=task is not Task.SPOTTING,
            repetition_detection=repetition,
            output_kind=RequestOutputKind.DELTA if stream else RequestOutputKind.FINAL_ONLY,
        )

    def _output_budget(self, max_tokens: int | None, prompt_length: int) -> int:
        left = self._max_length - prompt_length
        if left < 1:
            raise InvalidArgument(
                f"the image and its prompt take {prompt_length} tokens, the model's length is {self._max_length}: "
                "lower max_pixels"
            )
        if max_tokens is not None and max_tokens > left:
            raise InvalidArgument(f"options: max_tokens: {max_tokens}, the image leaves {left} of the model's length")
        return min(max_tokens or DEFAULT_TOKENS, left)

    def render_input(self, image: PackedImage, prompt: str | None, request_id: str) -> Any:
        """VLLM's engine input for an image, with the task's prompt or this one.

        It is already rendered: vLLM neither decodes nor resizes an image for it.
        """
        import torch
        from vllm.inputs.engine import mm_input
        from vllm.multimodal.inputs import MultiModalKwargsItems, PlaceholderRange

        pixels = torch.from_numpy(image.patches)
        if not self._takes_bytes:
            pixels = torch.from_numpy(normalize_patches(image.patches, self._settings.grid)).to(self._dtype)
        grid = torch.from_numpy(np.array([image.grid], np.int64))
        items = MultiModalKwargsItems.from_hf_inputs(
            {"pixel_values": [pixels], "image_grid_thw": grid},
            self._fields,
        )
        image_tokens = len(image.patches) // self._settings.grid.merge_size**2
        rendered = self._prompts.render(prompt or TASK_PROMPTS[image.task])
        return mm_input(
            rendered.token_ids(image_tokens),
            items,
            # a name of its own for every image: with the caches off nothing is looked up by content
            {"image": [request_id]},
            {"image": [PlaceholderRange(offset=len(rendered.before), length=image_tokens)]},
        )


def _executor_on_a_cpu(engine_args: Mapping[str, Any]) -> dict[str, Any]:
    """The executor for an engine that has one rank on a CPU: none of its own process.

    VLLM gives that rank a process, for the sake of binding its threads to cores. Both processes then wait for each
    other in busy loops: on two cores nothing else comes to run, a scrape of the metrics took up to 20 s, and a seventh
    of the throughput and 800 MB are lost. Where cores are given, that binding is needed.
    """
    from vllm.platforms import current_platform

    ranks = engine_args.get("tensor_parallel_size", 1)
    if not current_platform.is_cpu() or ranks > 1 or "VLLM_CPU_OMP_THREADS_BIND" in os.environ:
        return {}
    # by its path: the name "uni" is overruled on a CPU
    return {"distributed_executor_backend": "vllm.v1.executor.uniproc_executor.UniProcExecutor"}


def _scheduler() -> str | None:
    """The scheduler for an engine whose `model.json` names none, which has loaded vLLM's plugins; None for vLLM's own.

    A CPU has nothing to launch that images could share, and vLLM's own class reads them one by one in any case.
    """
    from vllm.platforms import current_platform

    return SCHEDULER if plugin.is_registered() and not current_platform.is_cpu() else None


def _worker(worker_cls: str) -> str:
    """The worker for an engine whose plugins are loaded: the plugin's on NVIDIA's GPUs, where none is named."""
    from vllm.platforms import current_platform

    if worker_cls != "auto" or not plugin.is_registered() or not current_platform.is_cuda():
        return worker_cls
    return WORKER


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


@dataclass(frozen=True)
class DeviceMemory:
    """A device's memory in bytes: in use, by whomever, and all of it."""

    used: int
    total: int


def gpu_memory() -> dict[str, DeviceMemory]:
    """The memory of each device that this process may use, by its number or name; empty where there is no GPU."""
    nvml = _open_nvml()
    if nvml is None:
        return {}
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = visible.split(",") if visible else [str(number) for number in range(nvml.nvmlDeviceGetCount())]
    return {name: _device_memory(nvml, name) for name in names}


@cache
def _open_nvml() -> Any:
    """NVIDIA's management library, open until the process ends; None where there is none.

    Once in a process, though the metrics want it every second: opening it takes its time on a GPU, and to look for a
    library that is not there holds Python's lock, in which requests wait.
    """
    from vllm.third_party import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    return pynvml


def _device_memory(pynvml: Any, name: str) -> DeviceMemory:
    by_number = name.isdecimal()
    find = pynvml.nvmlDeviceGetHandleByIndex if by_number else pynvml.nvmlDeviceGetHandleByUUID
    memory = pynvml.nvmlDeviceGetMemoryInfo(find(int(name) if by_number else name))
    return DeviceMemory(int(memory.used), int(memory.total))


def _image_fields() -> Any:
    """How the model's class wants an image's tensors batched, as its own processor declares it."""
    from vllm.model_executor.models.paddleocr_vl import PaddleOCRVLMultiModalProcessor

    processor: Any = PaddleOCRVLMultiModalProcessor
    if plugin.is_registered():
        from ocrvl.vllm_plugin.processor import PatchProcessor

        processor = PatchProcessor
    # the declaration does not depend on the instance, and making one would load the image processor
    return processor._get_mm_fields_config(None, {}, {})


def _finish_reason(reason: str | None) -> FinishReason:
    if reason == "abort":
        raise Cancelled("the engine was told to end this request")
    if reason == "error" or reason is None:
        raise Unavailable("the engine could not finish this image, send it again")
    return FinishReason(reason)


def _request_errors() -> tuple[type[Exception], ...]:
    """What vLLM raises for parameters that it refuses: a `ValueError` at first, a class of its own later on."""
    from vllm import exceptions

    return (ValueError, *filter(None, [getattr(exceptions, "VLLMClientError", None)]))


def _translate(error: Exception) -> OcrError | None:
    """Our error for one of vLLM's; None for what nobody foresaw, which the edge logs under an id."""
    from vllm.v1.engine.exceptions import EngineDeadError, EngineGenerateError

    if isinstance(error, EngineDeadError | EngineGenerateError):
        return Unavailable("the engine has stopped")
    if isinstance(error, _request_errors()):
        # structured outputs, for example, are compiled when a request is added
        return InvalidArgument(f"options: {' '.join(str(error).split())}")
    return None
