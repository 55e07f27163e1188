"""The vision encoder of PaddleOCR-VL over pictures of any sizes at once.

It runs the layers of vLLM's own `SiglipVisionTransformer` and `Projector`, which take pictures one by one. Nothing in
it knows this project; it is written so that vLLM's class could have it.
"""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch

_MAX_CACHED_PATCHES: Final = 16_384
"""How many patches the grids that are kept may have in all: 41 MiB at PaddleOCR-VL's sizes, three pages' grids or
dozens of lines'."""


_NEEDS_LONGEST: Final = frozenset({"FLASH_ATTN", "ROCM_AITER_FA", "TRITON_ATTN"})
"""Attention backends of vLLM that are told the longest sequence."""

_SUPPORTED_BACKENDS: Final = _NEEDS_LONGEST | {"TORCH_SDPA"}
"""Attention backends that take `cu_seqlens` as they are; FlashInfer's wants them padded."""

_PARAMETERS: Final[Mapping[str, tuple[str, ...]]] = {
    "embeddings.interpolate_pos_encoding": ("embeddings", "height", "width", "is_after_patchify"),
    "encoder.rotary_pos_emb.forward": ("seqlen",),
    "encoder.layers.0.self_attn.split_qkv": ("qkv",),
    "encoder.layers.0.self_attn.forward": ("hidden_states", "cu_seqlens", "rotary_pos_emb", "max_seqlen"),
    "encoder.layers.0.forward": ("hidden_states", "cu_seqlens", "rotary_pos_emb", "max_seqlen"),
}
"""Methods of vLLM's transformer, and the parameters by which they are recognised."""

_PARTS: Final = (
    "embeddings.patch_embedding.weight",
    "embeddings.position_embedding.weight",
    "encoder.layers.0.layer_norm1",
    "encoder.layers.0.layer_norm2",
    "encoder.layers.0.mlp",
    "encoder.layers.0.self_attn.attn.attn_backend",
    "encoder.layers.0.self_attn.apply_rotary_emb",
    "encoder.layers.0.self_attn.out_proj",
    "encoder.layers.0.self_attn.qkv_proj",
    "post_layernorm",
)
_PROJECTOR_PARTS: Final = ("act", "hidden_size", "linear_1", "linear_2", "pre_norm")


def problems_of(visual: Any, projector: Any) -> list[str]:
    """Why a `SiglipVisionModel` and its `Projector` can not be run packed; empty where they can."""
    vision: Any = getattr(visual, "vision_model", None)
    problems = [f"no {name} in its encoder" for name in _PARTS if _find(vision, name) is None]
    problems += [f"no {name} in its projector" for name in _PROJECTOR_PARTS if _find(projector, name) is None]
    for name, wanted in _PARAMETERS.items():
        method = _find(vision, name)
        has = tuple(inspect.signature(method).parameters) if method else ()
        if has != wanted:
            problems.append(f"{name} takes {', '.join(has) or 'nothing'}")
    if not problems:
        backend = vision.encoder.layers[0].self_attn.attn.attn_backend.name
        if backend not in _SUPPORTED_BACKENDS:
            problems.append(f"its attention runs on {backend}")
    return problems


def _find(root: Any, path: str) -> Any:
    """What a path of attributes and indices leads to; None where it leads nowhere."""
    try:
        for name in path.split("."):
            root = root[int(name)] if name.isdecimal() else getattr(root, name)
    except (AttributeError, IndexError):
        return None
    return root


@dataclass(frozen=True)
class _Grid:
    """What is the same for all pictures of one grid; P is its number of patches.

    `order` is int64 [P]: the patches in the order of the tokens that they are merged into. `position` is [P, hidden]
    in the model's dtype, `cos` and `sin` are float32 [P, head size / 2], all in that order.
    """

    order: torch.Tensor
    position: torch.Tensor
    cos: torch.Tensor
    sin: torch.Tensor


class Normalization:
    """Rescaling by 1/255 and normalising, on the device that the pixels are on.

    `mean` and `std` are per channel, for values in 0..1 (`preprocessor_config.json`).
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        # (x / 255 - mean) / std, as one multiplication and one addition
        self._scale = _per_channel([1 / (255 * deviation) for deviation in std])
        self._shift = _per_channel([-average / deviation for average, deviation in zip(mean, std, strict=True)])

    def __call__(self, patches: torch.Tensor) -> torch.Tensor:
        """Normalised values, float32, of uint8 patches [P, 3·patch·patch]."""
        if self._scale.device != patches.device:
            self._scale, self._shift = self._scale.to(patches.device), self._shift.to(patches.device)
        pixels = patches.view(len(patches), 3, -1).float()
        return torch.addcmul(self._shift, pixels, self._scale).flatten(1)


class PackedEncoder:
    """All pictures of a step in one forward pass, their attention kept apart by `cu_seqlens`.

    Patches are put into the order of the merged tokens first. Attention does not mind, since what tells positions
    apart (the interpolated embedding, the rotary angles) is ordered alike, and merging is a view then.

    `vision` is vLLM's `SiglipVisionTransformer`, `projector` its `Projector`, in which `problems_of` found nothing.
    """

    def __init__(self, vision: Any, projector: Any, merge_size: int, normalize: Normalization) -> None:
        self._vision = vision
        self._projector = projector
        self._merge_size = merge_size
        self._normalize = normalize
        self._grids: OrderedDict[tuple[int, int], _Grid] = OrderedDict()
        self._cached_patches = 0

    def __call__(self, patches: Sequence[torch.Tensor], grids: Sequence[Sequence[int]]) -> tuple[torch.Tensor, ...]:
        """Encode pictures.

        `patches` are uint8 [P, 3·patch·patch] each, channel first, row-major over the grid, or already normalised and
        of a floating dtype; `grids` are (1, rows, columns) in patches. Returns a tensor [P / merge², text hidden]
        for each, in the model's dtype.
        """
        known = [self._grid(rows, columns) for _, rows, columns in grids]
        sizes = [len(grid.order) for grid in known]
        hidden = self._embed(
            torch.cat([picture.flatten(1)[grid.order] for picture, grid in zip(patches, known, strict=True)])
        )
        hidden += torch.cat([grid.position for grid in known])
        hidden = self._encode(
            hidden,
            torch.cat([grid.cos for grid in known]),
            torch.cat([grid.sin for grid in known]),
            sizes,
        )
        merge = self._merge_size**2
        return tuple(self._project(hidden).split([size // merge for size in sizes]))

    def _embed(self, patches: torch.Tensor) -> torch.Tensor:
        embedding = self._vision.embeddings.patch_embedding
        if not patches.is_floating_point():
            patches = self._normalize(patches)
        # a convolution whose stride is its kernel, over one patch at a time
        weight = embedding.weight
        return torch.nn.functional.linear(patches.to(weight.dtype), weight.flatten(1), embedding.bias)

    def _encode(self, hidden: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, lengths: list[int]) -> torch.Tensor:
        bounds = torch.from_numpy(np.cumsum([0, *lengths], dtype=np.int32)).to(hidden.device, non_blocking=True)
        longest = None
        if self._vision.encoder.layers[0].self_attn.attn.attn_backend.name in _NEEDS_LONGEST:
            # on the host: each layer asks for its value, and would wait for the device
            longest = torch.tensor(max(lengths))
        hidden = hidden.unsqueeze(0)
        for layer in self._vision.encoder.layers:
            hidden = hidden + self._attend(layer.self_attn, layer.layer_norm1(hidden), bounds, longest, cos, sin)
            hidden = hidden + layer.mlp(layer.layer_norm2(hidden))
        normed: torch.Tensor = self._vision.post_layernorm(hidden)
        return normed.squeeze(0)

    def _attend(
        self,
        attention: Any,
        hidden: torch.Tensor,
        bounds: torch.Tensor,
        longest: torch.Tensor | None,
        cos: torch.Tensor,
        sin: torch.Tensor,
    ) -> torch.Tensor:
        qkv, _ = attention.qkv_proj(hidden)
        # vLLM's splitting has the sequence first
        query, key, value = (part.transpose(0, 1) for part in attention.split_qkv(qkv.transpose(0, 1)))
        query, key = attention.apply_rotary_emb(torch.cat([query, key]), cos, sin).chunk(2)
        context = attention.attn(query=query, key=key, value=value, cu_seqlens=bounds, max_seqlen=longest)
        projected: torch.Tensor = attention.out_proj(context.flatten(2))[0]
        return projected

    def _project(self, hidden: torch.Tensor) -> torch.Tensor:
        projector = self._projector
        merged = projector.pre_norm(hidden).view(-1, projector.hidden_size)
        projected: torch.Tensor = projector.linear_2(projector.act(projector.linear_1(merged)))
        return projected

    def _grid(self, rows: int, columns: int) -> _Grid:
        """What belongs to a grid: kept for the next picture of it, while the least used go."""
        key = (rows, columns)
        if key in self._grids:
            self._grids.move_to_end(key)
            return self._grids[key]
        grid = self._grids[key] = self._make_grid(rows, columns)
        self._cached_patches += rows * columns
        while self._cached_patches > _MAX_CACHED_PATCHES and len(self._grids) > 1:
            (old_rows, old_columns), _ = self._grids.popitem(last=False)
            self._cached_patches -= old_rows * old_columns
        return grid

    def _make_grid(self, rows: int, columns: int) -> _Grid:
        merge = self._merge_size
        embeddings = self._vision.embeddings
        table = embeddings.position_embedding.weight
        numbers = torch.arange(rows * columns, device=table.device)
        order = numbers.view(rows // merge, merge, columns // merge, merge).transpose(1, 2).flatten()
        position = embeddings.interpolate_pos_encoding(table, rows, columns, True)
        angles = self._vision.encoder.rotary_pos_emb(max(rows, columns))
        angles = torch.cat([angles[order // columns], angles[order % columns]], dim=1)
        return _Grid(order, position.squeeze(0)[order], angles.cos(), angles.sin())


def _per_channel(values: Sequence[float]) -> torch.Tensor:
    # while a model is made, torch's default dtype is the model's
    return torch.tensor(values, dtype=torch.float32).view(1, 3, 1)
