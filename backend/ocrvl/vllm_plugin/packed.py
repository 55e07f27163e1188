"""The vision encoder of PaddleOCR-VL over images of any sizes at once.

It runs the layers of vLLM's own `SiglipVisionTransformer` and `Projector`, which take images one by one. Nothing in
it knows this project; it is written so that vLLM's class could have it.
"""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch

from ocrvl.vllm_plugin.encoder_graphs import Capture, EncoderGraphs, EncoderInput
from ocrvl.vllm_plugin.encoder_layer import EncoderLayer
from ocrvl.vllm_plugin.norm import add_norm
from ocrvl.vllm_plugin.rotary import rotate

_MAX_CACHED_PATCHES: Final = 16_384
"""How many patches the grids that are kept may have in all: 41 MiB at PaddleOCR-VL's sizes, three pages' grids or
dozens of lines'."""


_CENTER: Final = 128
"""What is taken from a byte before it is multiplied."""

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
    "encoder.layers.0.mlp.activation_fn",
    "encoder.layers.0.mlp.fc1",
    "encoder.layers.0.mlp.fc2",
    "encoder.layers.0.self_attn.attn.attn_backend",
    "encoder.layers.0.self_attn.apply_rotary_emb",
    "encoder.layers.0.self_attn.out_proj",
    "encoder.layers.0.self_attn.qkv_proj",
    "post_layernorm",
)
_PROJECTOR_PARTS: Final = ("act", "hidden_size", "linear_1", "linear_2", "pre_norm")


def problems_of(visual: Any, projector: Any) -> list[str]:
    """Why a `SiglipVisionModel` and its `Projector` cannot be run packed; empty where they can."""
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
    """What is the same for all images of one grid; P is its number of patches.

    `order` is int64 [P]: the patches in the order of the tokens that they are merged into. `position` is [P, hidden]
    in the model's dtype, `cos` and `sin` are float32 [P, head size / 2], all in that order.
    """

    order: torch.Tensor
    position: torch.Tensor
    cos: torch.Tensor
    sin: torch.Tensor


class Normalization:
    """Rescaling by 1/255 and normalising.

    `mean` and `std` are per channel, for values in 0..1 (`preprocessor_config.json`).
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        # (x / 255 - mean) / std, as one multiplication and one addition
        self._scale = _per_channel([1 / (255 * deviation) for deviation in std])
        self._shift = _per_channel([-average / deviation for average, deviation in zip(mean, std, strict=True)])

    def __call__(self, patches: torch.Tensor) -> torch.Tensor:
        """Normalised values, float32, of uint8 patches [P, 3·patch·patch], on their device."""
        scale, shift = self._scale.to(patches.device), self._shift.to(patches.device)
        pixels = patches.view(len(patches), 3, -1).float()
        return torch.addcmul(shift, pixels, scale).flatten(1)

    def fold(self, weight: torch.Tensor, bias: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Weight [hidden, 3·patch·patch] and bias [hidden] that take `center`ed bytes for normalised values.

        In the dtype of `weight`, computed in float32.
        """
        exact = weight.float().view(len(weight), 3, -1)
        scale, shift = self._scale.to(weight.device), self._shift.to(weight.device)
        folded = (exact * scale).flatten(1)
        moved = (exact * (shift + _CENTER * scale)).sum((1, 2))
        return folded.to(weight.dtype), (bias.float() + moved).to(weight.dtype)


def center(patches: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Bytes as numbers around 0, -128 to 127, each of which bfloat16 holds exactly."""
    return patches.to(dtype) - _CENTER


class PackedEncoder:
    """All images of a step in one forward pass, their attention kept apart by `cu_seqlens`.

    Patches are put into the order of the merged tokens first. Attention does not mind, since what tells positions
    apart (the interpolated embedding, the rotary angles) is ordered alike, and merging is a view then.

    `vision` is vLLM's `SiglipVisionTransformer`, `projector` its `Projector`, in which `problems_of` found nothing;
    `make_layer` makes of each of its layers what computes it.
    """

    def __init__(
        self,
        vision: Any,
        projector: Any,
        merge_size: int,
        normalize: Normalization,
        make_layer: Callable[[Any], EncoderLayer] = EncoderLayer,
    ) -> None:
        self._vision = vision
        self._projector = projector
        self._merge_size = merge_size
        self._normalize = normalize
        self._grids: OrderedDict[tuple[int, int], _Grid] = OrderedDict()
        self._cached_patches = 0
        self._folded: tuple[torch.Tensor, torch.Tensor] | None = None
        self._graphs: EncoderGraphs | None = None
        self._layers = [make_layer(layer) for layer in vision.encoder.layers]
        attention = vision.encoder.layers[0].self_attn.attn
        self._needs_longest = attention.attn_backend.name in _NEEDS_LONGEST

    def __call__(self, patches: Sequence[torch.Tensor], grids: Sequence[Sequence[int]]) -> tuple[torch.Tensor, ...]:
        """Encode images.

        `patches` are uint8 [P, 3·patch·patch] each, channel first, row-major over the grid, or already normalised and
        of a floating dtype; `grids` are (1, rows, columns) in patches. Returns a tensor [P / merge², text hidden]
        for each, in the model's dtype.
        """
        if any(image.is_floating_point() for image in patches):
            # a step may have both: bytes among them become what the others are
            patches = [image if image.is_floating_point() else self._normalize(image) for image in patches]
        known = [self._grid(rows, columns) for _, rows, columns in grids]
        sizes = [len(grid.order) for grid in known]
        parts = (
            [image.flatten(1)[grid.order] for image, grid in zip(patches, known, strict=True)],
            [grid.position for grid in known],
            [grid.cos for grid in known],
            [grid.sin for grid in known],
        )
        graph = self._graphs.find(sizes) if self._graphs and not parts[0][0].is_floating_point() else None
        encoded = graph(parts, sizes) if graph else self.encode(EncoderInput.of(parts, sizes))
        merge = self._merge_size**2
        return tuple(encoded.split([size // merge for size in sizes]))

    def capture(self, capture: Capture, budgets: Sequence[int]) -> None:
        """Keep a graph for each of these numbers of patches, made by `capture`. Raises what that raises."""
        merge = self._merge_size
        grid = self._grid(merge, merge)
        like = [torch.zeros(merge**2, self._embedding.weight[0].numel(), dtype=torch.uint8, device=grid.order.device)]
        buffers = EncoderInput.of((like, [grid.position], [grid.cos], [grid.sin]), [merge**2]).stretched(max(budgets))
        self._graphs = EncoderGraphs(self.encode, buffers, budgets, capture)

    def encode(self, given: EncoderInput) -> torch.Tensor:
        """One pass over what is packed already: [P / merge², text hidden]."""
        hidden, change = self._embed(given.patches) + given.position, None
        # on the host: each layer asks for its value, and would wait for the device
        longest = torch.tensor(given.longest) if self._needs_longest else None
        for layer in self._layers:
            hidden, projected = layer.project_in(hidden, change)
            context = self._attend(layer.attention, projected, given, longest)
            hidden, change = layer.apply_mlp(hidden, layer.project_out(context))
        return self._project(add_norm(hidden, change, self._vision.post_layernorm)[1])

    @property
    def _embedding(self) -> Any:
        return self._vision.embeddings.patch_embedding

    def _embed(self, patches: torch.Tensor) -> torch.Tensor:
        # a convolution whose stride is its kernel, over one patch at a time
        weight, bias = self._embedding.weight.flatten(1), self._embedding.bias
        if patches.is_floating_point():
            return torch.nn.functional.linear(patches.to(weight.dtype), weight, bias)
        if self._folded is None:
            self._folded = self._normalize.fold(weight, bias)
        return torch.nn.functional.linear(center(patches, weight.dtype), *self._folded)

    def _attend(
        self, attention: Any, projected: torch.Tensor, given: EncoderInput, longest: torch.Tensor | None
    ) -> torch.Tensor:
        """What attention gives, [P, hidden], for queries, keys and values [P, 3·hidden]."""
        # vLLM's splitting has the sequence first
        query, key, value = (part.transpose(0, 1) for part in attention.split_qkv(projected.unsqueeze(1)))
        query, key = rotate(query, key, given.cos, given.sin, attention.apply_rotary_emb)
        context: torch.Tensor = attention.attn(
            query=query, key=key, value=value, cu_seqlens=given.bounds, max_seqlen=longest
        )
        return context.squeeze(0).flatten(1)

    def _project(self, hidden: torch.Tensor) -> torch.Tensor:
        projector = self._projector
        merged = projector.pre_norm(hidden).view(-1, projector.hidden_size)
        projected: torch.Tensor = projector.linear_2(projector.act(projector.linear_1(merged)))
        return projected

    def _grid(self, rows: int, columns: int) -> _Grid:
        """What belongs to a grid: kept for the next image of it, while the least used go."""
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
