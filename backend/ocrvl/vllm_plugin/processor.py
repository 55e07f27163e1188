"""What vLLM makes of an image before the model sees it, for images that are cut into patches already.

Beside images as vLLM takes them, `multi_modal_data={"image": ...}` may be patches as they were decoded:

    {"pixel_values": [uint8 [P, 3·patch·patch], ...], "image_grid_thw": int64 [N, 3]}

They go to the model as they are: no image is opened, resized, converted or normalised here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import torch
from vllm.model_executor.models.paddleocr_vl import PaddleOCRVLMultiModalProcessor, PaddleOCRVLProcessingInfo
from vllm.multimodal.inputs import MultiModalFieldConfig
from vllm.multimodal.parse import ModalityDataItems, MultiModalDataItems, MultiModalDataParser
from vllm.multimodal.processing import PromptReplacement, PromptUpdate

_FIELDS: Final = frozenset({"pixel_values", "image_grid_thw"})


class PatchItems(ModalityDataItems[Mapping[str, Any], Mapping[str, Any]]):  # type: ignore[misc, unused-ignore]
    """Images as patches: `pixel_values`, a tensor [P, 3·patch·patch] each, and `image_grid_thw`, int64 [N, 3].

    Raises `ValueError` where they do not go together, or with a grid that cannot be merged.
    """

    def __init__(self, data: Mapping[str, Any], merge_size: int) -> None:
        if data.keys() != _FIELDS:
            raise ValueError(f"images as patches have the fields {sorted(_FIELDS)}, these have {sorted(data)}")
        patches, grids = list(data["pixel_values"]), torch.as_tensor(data["image_grid_thw"])
        if grids.shape != (len(patches), 3):
            raise ValueError(f"image_grid_thw: shape {list(grids.shape)} for {len(patches)} images")
        for index, ((frames, rows, columns), image) in enumerate(zip(grids.tolist(), patches, strict=True)):
            if frames != 1 or min(rows, columns) < 1 or rows % merge_size or columns % merge_size:
                raise ValueError(f"image_grid_thw {index}: {(frames, rows, columns)} is no grid of this model")
            if len(image) != rows * columns:
                raise ValueError(f"pixel_values {index}: {len(image)} patches for a grid of {rows} x {columns}")
        super().__init__({"pixel_values": patches, "image_grid_thw": grids}, "image")

    def get_count(self) -> int:
        """How many images there are."""
        return len(self.data["pixel_values"])

    def get(self, index: int) -> Mapping[str, Any]:
        """One image's tensors."""
        return {name: values[index] for name, values in self.data.items()}

    def get_processor_data(self) -> Mapping[str, object]:
        """None: the processor of the checkpoint has no part in it."""
        return {}

    def get_passthrough_data(self) -> Mapping[str, object]:
        """All of it goes to the model."""
        return dict(self.data)


class PatchParser(MultiModalDataParser):  # type: ignore[misc, unused-ignore]
    """Takes patches where they are, else images."""

    def __init__(self, merge_size: int, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._merge_size = merge_size

    def _parse_image_data(self, data: Any) -> ModalityDataItems[Any, Any] | None:
        if isinstance(data, Mapping):
            return PatchItems(data, self._merge_size)
        return super()._parse_image_data(data)


class PatchProcessingInfo(PaddleOCRVLProcessingInfo):  # type: ignore[misc, unused-ignore]
    """The stock class's, with a parser that knows patches."""

    def get_data_parser(self) -> MultiModalDataParser:
        """The parser of `multi_modal_data`."""
        merge_size = self.get_hf_config().vision_config.spatial_merge_size
        return PatchParser(merge_size, expected_hidden_size=self._get_expected_hidden_size())


class PatchProcessor(PaddleOCRVLMultiModalProcessor):  # type: ignore[misc, unused-ignore]
    """The stock class, and patches as they are."""

    def _hf_processor_applies_updates(self, prompt_text: str, mm_items: MultiModalDataItems, **arguments: Any) -> bool:
        """Whether a prompt of text comes back from the checkpoint's processor with a place for each patch.

        VLLM 0.28 calls it; 0.32 finds out by itself.
        """
        if isinstance(mm_items.get("image"), PatchItems):
            return False
        return bool(super()._hf_processor_applies_updates(prompt_text=prompt_text, mm_items=mm_items, **arguments))

    def _get_mm_fields_config(self, hf_inputs: Any, hf_processor_mm_kwargs: Mapping[str, object]) -> Mapping[str, Any]:
        """The stock class's, with grids on the host, where they are read; vLLM 0.24 would have them on the device."""
        stock = PaddleOCRVLMultiModalProcessor._get_mm_fields_config(self, hf_inputs, hf_processor_mm_kwargs)
        return {**stock, "image_grid_thw": MultiModalFieldConfig.batched("image", keep_on_cpu=True)}

    def _get_prompt_updates(
        self, mm_items: MultiModalDataItems, hf_processor_mm_kwargs: Mapping[str, object], out_mm_kwargs: Any
    ) -> Sequence[PromptUpdate]:
        images = mm_items["image"]
        if not isinstance(images, PatchItems):
            updates: Sequence[PromptUpdate] = super()._get_prompt_updates(
                mm_items, hf_processor_mm_kwargs, out_mm_kwargs
            )
            return updates
        config = self.info.get_hf_config()
        token, merge = config.image_token_id, config.vision_config.spatial_merge_size**2
        counts = [len(patches) // merge for patches in images.data["pixel_values"]]
        return [PromptReplacement("image", target=[token], replacement=lambda index: [token] * counts[index])]
