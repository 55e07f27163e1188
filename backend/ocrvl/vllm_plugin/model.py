"""PaddleOCR-VL for vLLM with a packed vision encoder, which takes images as bytes."""

from __future__ import annotations

import logging
from typing import Any, Final

import torch
from vllm.model_executor.models.interfaces import SupportsLoRA
from vllm.model_executor.models.paddleocr_vl import (
    PaddleOCRVLDummyInputsBuilder,
    PaddleOCRVLForConditionalGeneration,
)
from vllm.multimodal import MULTIMODAL_REGISTRY
from vllm.transformers_utils.config import get_hf_image_processor_config

from ocrvl.vllm_plugin.adapters import TakesAdapters, changes_encoder, make_adaptable
from ocrvl.vllm_plugin.encoder_graphs import capture_graph
from ocrvl.vllm_plugin.encoder_layer import EncoderLayer
from ocrvl.vllm_plugin.fp8 import Fp8EncoderLayer, fits
from ocrvl.vllm_plugin.packed import Normalization, PackedEncoder, problems_of
from ocrvl.vllm_plugin.processor import PatchProcessingInfo, PatchProcessor
from ocrvl.vllm_plugin.settings import EncoderGraphSettings, find_fp8_problem, wants_fp8

_LOG: Final = logging.getLogger("vllm.ocrvl")
_SIDE: Final = 64
"""Patches on each side of an image that memory is measured with; what it takes grows with all patches alone."""


@MULTIMODAL_REGISTRY.register_processor(
    PatchProcessor, info=PatchProcessingInfo, dummy_inputs=PaddleOCRVLDummyInputsBuilder
)
class PackedPaddleOCRVL(TakesAdapters, PaddleOCRVLForConditionalGeneration, SupportsLoRA):  # type: ignore[misc, unused-ignore]
    """VLLM's own class, but for how images are embedded, and that it takes LoRA adapters.

    `pixel_values` are uint8 [P, 3·patch·patch] an image, as they were decoded, or what the stock processor makes of
    images (floating, normalised). Images of one call are encoded together; where the encoder's layers are not the
    known ones, by the stock class, one by one, which is said once.
    """

    def __init__(self, *, vllm_config: Any, prefix: str = "") -> None:
        super().__init__(vllm_config=vllm_config, prefix=prefix)
        if changes_encoder(vllm_config):
            make_adaptable(self.mlp_AR)
        model_config = vllm_config.model_config
        processor = get_hf_image_processor_config(model_config.model, revision=model_config.revision)
        self._normalization = Normalization(processor["image_mean"], processor["image_std"])
        self._packed: PackedEncoder | None = None
        self._vllm_config = vllm_config
        if problems := problems_of(self.visual, self.mlp_AR):
            _LOG.warning("images are encoded one by one, by vLLM's own class: %s", "; ".join(problems))
        else:
            _LOG.info("all images of a step are encoded together")
            merge_size = self.config.vision_config.spatial_merge_size
            layer = _layer_class(vllm_config, self.visual)
            self._packed = PackedEncoder(self.visual.vision_model, self.mlp_AR, merge_size, self._normalization, layer)

    def embed_multimodal(self, **kwargs: Any) -> Any:
        """Embed the images of a step: a tensor [tokens, hidden] for each."""
        patches = kwargs.get("pixel_values")
        if patches is None:
            return ()
        if self._packed is not None:
            return self._packed(list(patches), torch.as_tensor(kwargs["image_grid_thw"]).tolist())
        size = self.config.vision_config.patch_size
        floating = [
            image if image.is_floating_point() else self._normalization(image).view(-1, 3, size, size)
            for image in patches
        ]
        return super().embed_multimodal(**{**kwargs, "pixel_values": floating})

    @torch.inference_mode()
    def profile_encoder(self) -> None:
        """Encode as many patches as a step may have, so that what measures memory meanwhile sees what it takes."""
        if self._packed is None:
            return
        tokens = self._vllm_config.scheduler_config.max_num_encoder_input_tokens
        merge_size, size = self.config.vision_config.spatial_merge_size, self.config.vision_config.patch_size
        count = -(-tokens * merge_size**2 // _SIDE**2)
        patches = torch.zeros(_SIDE**2, 3 * size**2, dtype=torch.uint8, device=self.visual.device)
        self._packed([patches] * count, [(1, _SIDE, _SIDE)] * count)

    @torch.inference_mode()
    def capture_encoder(self) -> None:
        """Capture the encoder's graphs, where there may be any; what stands against them is said once."""
        settings = EncoderGraphSettings.of(self._vllm_config)
        if self._packed is None or not settings.patches:
            return
        if self._vllm_config.model_config.enforce_eager:
            return
        if changes_encoder(self._vllm_config):
            _LOG.info("the encoder's kernels are launched one by one: adapters may change it from image to image")
            return
        if self._vllm_config.parallel_config.tensor_parallel_size > 1:
            _LOG.info("the encoder's kernels are launched one by one: its ranks exchange what graphs cannot hold")
            return
        try:
            self._packed.capture(capture_graph, settings.patches)
        except Exception as error:
            _LOG.warning("the encoder's kernels are launched one by one, no graphs could be captured: %s", error)
        else:
            _LOG.info("the encoder runs in graphs of up to %s patches", max(settings.patches))


def _layer_class(vllm_config: Any, visual: Any) -> type[EncoderLayer]:
    """What computes the encoder's layers. Raises `ValueError` where they are to be in FP8 and cannot."""
    if not wants_fp8(vllm_config.additional_config):
        return EncoderLayer
    problem = find_fp8_problem(
        dtype=str(vllm_config.model_config.dtype),
        tensor_parallel_size=vllm_config.parallel_config.tensor_parallel_size,
        quantization=vllm_config.model_config.quantization,
    )
    if changes_encoder(vllm_config):
        problem = problem or "expected adapters that leave the encoder alone (enable_tower_connector_lora)"
    layer = visual.vision_model.encoder.layers[0]
    if not all(fits(product.weight) for product in (layer.self_attn.qkv_proj, layer.mlp.fc1)):
        problem = problem or "expected an encoder whose dimensions are multiples of 16"
    if problem:
        raise ValueError(f"additional_config.encoder_precision: fp8: {problem}")
    _LOG.info("the encoder's layers compute in FP8")
    return Fp8EncoderLayer
