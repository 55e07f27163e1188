"""LoRA adapters for PaddleOCR-VL in vLLM, whose own class takes none: language model, projector and vision encoder.

Adapters may name modules as transformers 5 does (`model.language_model.layers…`, `model.visual…`, `model.projector…`)
or as the checkpoint and its remote code do (`model.layers…`, `visual…`, `mlp_AR…`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, ClassVar, Final

import torch
from vllm.lora.punica_wrapper.punica_cpu import PunicaWrapperCPU
from vllm.model_executor.layers.linear import ReplicatedLinear
from vllm.model_executor.models.module_mapping import MultiModelKeys
from vllm.model_executor.models.utils import WeightsMapper

_PUNICA: Final = "ocrvl.vllm_plugin.adapters.RowwisePunicaWrapper"

NAMES: Final = {
    "model.language_model.": "language_model.model.",
    "model.visual.": "visual.",
    "model.projector.": "mlp_AR.",
    "model.": "language_model.model.",
    "lm_head.": "language_model.lm_head.",
}
"""What modules' names begin with, in transformers and in the checkpoint, and what they begin with in vLLM."""


class TakesAdapters:
    """Mixed into vLLM's class of PaddleOCR-VL, before it: what vLLM asks of a model that `SupportsLoRA`."""

    packed_modules_mapping: ClassVar[dict[str, list[str]]] = {
        "qkv_proj": ["q_proj", "k_proj", "v_proj"],
        "gate_up_proj": ["gate_proj", "up_proj"],
    }
    # none: an adapter of the word embedding or of the LM head would change texts that asked for no adapter
    embedding_modules: ClassVar[dict[str, str]] = {}
    supports_tower_connector_lora = True
    hf_to_vllm_mapper = WeightsMapper(orig_to_new_prefix=NAMES)
    config: Any

    def get_mm_mapping(self) -> MultiModelKeys:
        """Which modules are the language model, the projector and the vision encoder."""
        return MultiModelKeys.from_string_field(
            language_model="language_model", connector="mlp_AR.", tower_model="visual."
        )

    def get_mm_lora_token_counts(self, *, modality: str, mm_kwargs: Any, num_mm_embeds: int) -> tuple[int, int]:
        """Rows that an image of so many tokens has in the encoder and in the projector."""
        del modality, mm_kwargs
        return self.get_num_mm_encoder_tokens(num_mm_embeds), num_mm_embeds

    def get_num_mm_encoder_tokens(self, num_image_tokens: int) -> int:
        """Patches of an image of so many tokens (vLLM 0.24 asks)."""
        return int(num_image_tokens * self.config.vision_config.spatial_merge_size**2)

    def get_num_mm_connector_tokens(self, num_vision_tokens: int) -> int:
        """Rows that so many patches have in the projector (vLLM 0.24 asks)."""
        return int(num_vision_tokens // self.config.vision_config.spatial_merge_size**2)


def changes_encoder(vllm_config: Any) -> bool:
    """Whether adapters of this engine may change the vision encoder and the projector."""
    lora = vllm_config.lora_config
    return lora is not None and bool(getattr(lora, "enable_tower_connector_lora", False))


def make_adaptable(projector: Any) -> None:
    """Have vLLM's own linear layers in a `Projector`, whose weights are not loaded yet: only those take adapters."""
    for name in ("linear_1", "linear_2"):
        own = getattr(projector, name)
        adaptable = ReplicatedLinear(own.in_features, own.out_features, bias=own.bias is not None, return_bias=False)
        setattr(projector, name, adaptable)


class RowwisePunicaWrapper(PunicaWrapperCPU):  # type: ignore[misc, unused-ignore]
    """VLLM's arithmetic of adapters on a CPU, on the rows of each adapter alone.

    VLLM's own takes -1, which says that a row has no adapter, for the last one's place, and so changes texts that asked
    for none; and it copies an adapter's weights for each row.
    """

    _runs: Sequence[tuple[int, slice]] = ()

    def update_metadata(
        self, mapping: Any, lora_index_to_id: list[int | None], max_loras: int, vocab_size: int, **kwargs: Any
    ) -> None:
        """Take in which adapter each row of the next pass has."""
        super().update_metadata(mapping, lora_index_to_id, max_loras, vocab_size, **kwargs)
        slots = {adapter: slot for slot, adapter in enumerate(lora_index_to_id) if adapter is not None}
        self._runs = [(slots[adapter], rows) for adapter, rows in find_runs(mapping.index_mapping) if adapter in slots]

    def _apply_shrink(self, y: torch.Tensor, x: torch.Tensor, w_t_all: torch.Tensor, scale: float) -> None:
        y = y.view(-1, y.shape[-1])
        for slot, rows in self._runs:
            y[rows] = (x[rows].to(y.dtype) @ _weight(w_t_all, slot).to(y.dtype).t()) * scale

    def _apply_expand(
        self,
        y: torch.Tensor,
        x: torch.Tensor,
        w_t_all: torch.Tensor,
        y_offset: int,
        y_slice_size: int,
        add_inputs: bool = True,
    ) -> None:
        columns = slice(y_offset, y_offset + y_slice_size)
        for slot, rows in self._runs:
            change = (x[rows] @ _weight(w_t_all, slot).to(x.dtype).t()).to(y.dtype)
            y[rows, columns] = y[rows, columns] + change if add_inputs else change


def find_runs(adapters: Sequence[int]) -> Iterator[tuple[int, slice]]:
    """Rows that follow each other and have the same adapter, by its number; 0 is none.

    >>> list(find_runs([0, 0, 2, 2, 1]))
    [(2, slice(2, 4, None)), (1, slice(4, 5, None))]
    """
    start = 0
    for adapter, rows in groupby(adapters):
        stop = start + sum(1 for _ in rows)
        if adapter > 0:
            yield adapter, slice(start, stop)
        start = stop


def replace_cpu_arithmetic(platform: Any) -> None:
    """Have vLLM's CPU platform take `RowwisePunicaWrapper`."""
    platform.get_punica_wrapper = classmethod(lambda _cls: _PUNICA)


def _weight(stacked: torch.Tensor, slot: int) -> torch.Tensor:
    """One adapter's matrix [out, in] of all of them [adapters, 1, out, in]."""
    weight = stacked[slot]
    return weight[0] if weight.dim() == 3 else weight
