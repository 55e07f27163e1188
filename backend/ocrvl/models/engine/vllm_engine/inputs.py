"""What vLLM is sent for an image: its engine input, and its sampling parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ocrvl import vllm_plugin as plugin
from ocrvl.engine_settings import EngineSettings
from ocrvl.errors import InvalidArgument
from ocrvl.imaging.patches import normalize_patches
from ocrvl.messages import PackedImage
from ocrvl.options import Options
from ocrvl.prompts import TASK_PROMPTS, PromptRenderer
from ocrvl.wire import DEFAULT_TOKENS, Task

if TYPE_CHECKING:
    from vllm import SamplingParams
    from vllm.config import ModelConfig

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


class InputRenderer:
    """Renders the inputs of one engine, whose model is configured by vLLM's `model_config`."""

    def __init__(self, settings: EngineSettings, model_config: ModelConfig) -> None:
        self._settings = settings
        self._prompts = PromptRenderer(settings.checkpoint)
        self._max_length = int(model_config.max_model_len)
        self._dtype: Any = model_config.dtype
        self._fields = image_fields()
        self._takes_bytes = plugin.is_registered()

    def render(self, image: PackedImage, prompt: str | None, request_id: str) -> Any:
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

    def sampling_params(self, task: Task, options: Options, prompt_length: int, *, stream: bool) -> SamplingParams:
        """VLLM's sampling parameters after a prompt of so many tokens; `stream` has the text in pieces.

        Raises `InvalidArgument` for more tokens than the model's length leaves.
        """
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
            max_tokens=self._max_tokens(options.max_tokens, prompt_length),
            structured_outputs=structure,
            # spotting says where text is by special tokens
            skip_special_tokens=task is not Task.SPOTTING,
            repetition_detection=repetition,
            output_kind=RequestOutputKind.DELTA if stream else RequestOutputKind.FINAL_ONLY,
        )

    def _max_tokens(self, max_tokens: int | None, prompt_length: int) -> int:
        left = self._max_length - prompt_length
        if left < 1:
            raise InvalidArgument(
                f"the image and its prompt take {prompt_length} tokens, the model's length is {self._max_length}: "
                "lower max_pixels"
            )
        if max_tokens is not None and max_tokens > left:
            raise InvalidArgument(f"options: max_tokens: {max_tokens}, the image leaves {left} of the model's length")
        return min(max_tokens or DEFAULT_TOKENS, left)


def image_fields() -> Any:
    """How the model's class wants an image's tensors batched, as its own processor declares it."""
    from vllm.model_executor.models.paddleocr_vl import PaddleOCRVLMultiModalProcessor

    processor: Any = PaddleOCRVLMultiModalProcessor
    if plugin.is_registered():
        from ocrvl.vllm_plugin.processor import PatchProcessor

        processor = PatchProcessor
    # the declaration does not depend on the instance, and making one would load the image processor
    return processor._get_mm_fields_config(None, {}, {})
