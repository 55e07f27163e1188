"""One layer of the vision encoder and one of the decoder, over transformers' modules, for a batch of one grid."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import Tensor, nn


def rms_norm(norm: nn.Module, hidden: Tensor) -> Tensor:
    """`PaddleOCRRMSNorm`, in one kernel."""
    return F.rms_norm(hidden, (hidden.shape[-1],), norm.weight, norm.variance_epsilon)


def _rotated(states: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """States [B, S, heads, head dim] turned by angles [S, head dim], in the states' own type."""
    left, right = states.chunk(2, dim=-1)
    turned = states * cos[:, None] + torch.cat((-right, left), dim=-1) * sin[:, None]
    return turned.to(states.dtype)


def vision_layer(layer: nn.Module, hidden: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """`PaddleOCRVisionEncoderLayer` on [B, P, hidden]; angles [P, head dim]. Every patch sees all of its image's."""
    attention = layer.self_attn
    normed = layer.layer_norm1(hidden)
    split = (attention.num_heads, attention.head_dim)
    query = _rotated(attention.q_proj(normed).unflatten(-1, split), cos, sin)
    key = _rotated(attention.k_proj(normed).unflatten(-1, split), cos, sin)
    value = attention.v_proj(normed).unflatten(-1, split)
    mixed = F.scaled_dot_product_attention(query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2))
    hidden = hidden + attention.out_proj(mixed.transpose(1, 2).flatten(2))
    out: Tensor = hidden + layer.mlp(layer.layer_norm2(hidden))
    return out


def text_layer(layer: nn.Module, hidden: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """`PaddleOCRDecoderLayer` on [B, S, hidden]; angles [S, head dim]. Padding stands at the end, unseen."""
    attention = layer.self_attn
    normed = rms_norm(layer.input_layernorm, hidden)
    split = (-1, attention.head_dim)
    query = _rotated(attention.q_proj(normed).unflatten(-1, split), cos, sin)
    key = _rotated(attention.k_proj(normed).unflatten(-1, split), cos, sin)
    value = attention.v_proj(normed).unflatten(-1, split)
    groups = attention.num_key_value_groups
    mixed = F.scaled_dot_product_attention(
        query.transpose(1, 2),
        key.repeat_interleave(groups, dim=2).transpose(1, 2),
        value.repeat_interleave(groups, dim=2).transpose(1, 2),
        is_causal=True,
    )
    hidden = hidden + attention.o_proj(mixed.transpose(1, 2).flatten(2))
    out: Tensor = hidden + layer.mlp(rms_norm(layer.post_attention_layernorm, hidden))
    return out
