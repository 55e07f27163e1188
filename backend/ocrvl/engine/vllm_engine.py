"""The one module that knows vLLM: starts its engine, hands it ready patches, gives back what it read.

Holds for vLLM 0.24 to 0.32. Where versions differ, vLLM itself is asked (the model's own field declarations, the
engine arguments' own names) rather than its version number.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from ocrvl.engine.settings import EngineSettings
from ocrvl.errors import Cancelled, InvalidArgument, OcrError, Unavailable
from ocrvl.hop import PackedPicture, Reading
from ocrvl.images.patches import normalize_patches
from ocrvl.options import MAX_TOKENS, Options
from ocrvl.prompts import TASK_PROMPTS, PromptRenderer
from ocrvl.wire import FinishReason, Task

if TYPE_CHECKING:
    from vllm import SamplingParams
    from vllm.v1.engine.async_llm import AsyncLLM

_ENVIRONMENT = {
    # GiB of KV cache on a CPU: vLLM's default there is half the memory
    "VLLM_CPU_KVCACHE_SPACE": "1",
    # the checkpoint is a local folder by now; without this a missing network costs minutes of retries
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    # the host process has threads and Triton's shared memory, which a forked child would inherit
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
    # PaddleX registers a plugin for servers of its own, which every process of vLLM would import and fail with
    "VLLM_PLUGINS": "",
}
"""Set before vLLM is imported, where the operator has not."""

_STOP_SECONDS = 20.0
"""How long the engine's process may take to end before it is killed; vLLM's own 5 s are just too few on a CPU."""


def check_engine_args(settings: EngineSettings) -> None:
    """Raises `ValueError` naming each key of `model.json` that this vLLM's `AsyncEngineArgs` does not have."""
    from vllm.engine.arg_utils import AsyncEngineArgs

    known = {field.name for field in dataclasses.fields(AsyncEngineArgs)}
    if unknown := sorted(set(settings.engine_args) - known):
        raise ValueError(f"{settings.source}: unknown engine arguments: {', '.join(unknown)}")


class VllmEngine:
    """A running engine. All its coroutines belong to the event loop in which `start` ran. `llm` is vLLM's own."""

    def __init__(self, settings: EngineSettings, llm: AsyncLLM) -> None:
        self.llm = llm
        self._settings = settings
        self._prompts = PromptRenderer(settings.checkpoint)
        self._max_length: int = llm.model_config.max_model_len
        self._dtype = llm.model_config.dtype
        self._fields = _picture_fields()

    @classmethod
    async def start(cls, settings: EngineSettings) -> VllmEngine:
        """Start the engine's process and wait until it has loaded the model; 15 s and more."""
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        check_engine_args(settings)
        from vllm.engine.arg_utils import AsyncEngineArgs
        from vllm.v1.engine.async_llm import AsyncLLM

        return cls(settings, AsyncLLM.from_engine_args(AsyncEngineArgs(**settings.engine_args)))

    async def stop(self) -> None:
        """Stop the engine's process; its memory is free when this returns."""
        self.llm.shutdown(timeout=_STOP_SECONDS)

    async def read(self, picture: PackedPicture, options: Options, request_id: str) -> Reading:
        """Generate one picture's text.

        Cancelling the coroutine ends generation in vLLM. Raises `InvalidArgument` for a picture or options that
        the model can not take, `Unavailable` where the engine is gone.
        """
        engine_input = self.render_input(picture, options.prompt, request_id)
        num_input_tokens = len(engine_input["prompt_token_ids"])
        params = self._sampling_params(picture.task, options, num_input_tokens)
        try:
            async for output in self.llm.generate(engine_input, params, request_id):
                final = output
        except asyncio.CancelledError:
            raise
        except Exception as error:
            if known := _translate(error):
                raise known from error
            raise
        completion = final.outputs[0]
        return Reading(
            index=picture.index,
            text=completion.text,
            finish_reason=_finish_reason(completion.finish_reason),
            num_input_tokens=num_input_tokens,
            num_output_tokens=len(completion.token_ids),
        )

    def _sampling_params(self, task: Task, options: Options, prompt_length: int) -> SamplingParams:
        from vllm.sampling_params import RequestOutputKind, SamplingParams, StructuredOutputsParams

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
            output_kind=RequestOutputKind.FINAL_ONLY,
        )

    def _output_budget(self, wanted: int | None, prompt_length: int) -> int:
        room = self._max_length - prompt_length
        if room < 1:
            raise InvalidArgument(
                f"the picture and its prompt take {prompt_length} tokens, the model's length is {self._max_length}: "
                "lower max_pixels"
            )
        if wanted is not None and wanted > room:
            raise InvalidArgument(f"options: max_tokens: {wanted} wanted, the picture leaves room for {room}")
        return min(wanted or MAX_TOKENS, room)

    def render_input(self, picture: PackedPicture, prompt: str | None, request_id: str) -> Any:
        """VLLM's engine input for a picture, with the task's prompt or this one.

        It is already rendered: vLLM neither decodes nor resizes a picture for it.
        """
        import torch
        from vllm.inputs.engine import mm_input
        from vllm.multimodal.inputs import MultiModalKwargsItems, PlaceholderRange

        pixels = torch.from_numpy(normalize_patches(picture.patches, self._settings.grid)).to(self._dtype)
        grid = torch.from_numpy(np.array([picture.grid], np.int64))
        items = MultiModalKwargsItems.from_hf_inputs(
            {"pixel_values": [pixels], "image_grid_thw": grid},
            self._fields,
        )
        image_tokens = len(picture.patches) // self._settings.grid.merge_size**2
        rendered = self._prompts.render(prompt or TASK_PROMPTS[picture.task])
        return mm_input(
            rendered.token_ids(image_tokens),
            items,
            # a name of its own for every picture: with the caches off nothing is looked up by content
            {"image": [request_id]},
            {"image": [PlaceholderRange(offset=len(rendered.before), length=image_tokens)]},
        )


def _picture_fields() -> Any:
    """How the model's class wants a picture's tensors batched, as its own processor declares it."""
    from vllm.model_executor.models.paddleocr_vl import PaddleOCRVLMultiModalProcessor

    # the declaration does not depend on the instance, and making one would load the picture processor
    return PaddleOCRVLMultiModalProcessor._get_mm_fields_config(None, {}, {})


def _finish_reason(reason: str | None) -> FinishReason:
    if reason == "abort":
        raise Cancelled("the engine was told to end this request")
    if reason == "error" or reason is None:
        raise Unavailable("the engine could not finish this picture, send it again")
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
