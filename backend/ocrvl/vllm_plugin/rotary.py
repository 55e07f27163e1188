"""Rotary positions of the vision encoder: on a GPU one kernel that rotates queries and keys in place.

VLLM's own code copies both, once to put them together and once into float32 and back, which takes longer than rotating.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import torch
from vllm.triton_utils import HAS_TRITON, tl, triton

_HEADS: Final = 8
"""Heads that one program rotates."""


def rotate(
    query: torch.Tensor,
    key: torch.Tensor,
    cos: torch.Tensor,
    sin: torch.Tensor,
    apply: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor],
) -> tuple[torch.Tensor, torch.Tensor]:
    """Queries and keys [1, P, heads, size], rotated by angles whose `cos` and `sin` are float32 [P, size / 2].

    Computed in float32, rounded once. In place on a GPU; otherwise by `apply`, vLLM's own.
    """
    if not HAS_TRITON or not query.is_cuda or query.stride(-1) != 1 or key.stride() != query.stride():
        rotated = apply(torch.cat([query, key]), cos, sin)
        return rotated[:1], rotated[1:]
    _, patches, heads, size = query.shape
    half = size // 2
    grid = (patches, -(-heads // _HEADS), 2)
    strides = query.stride(1), query.stride(2)
    _rotate[grid](query, key, cos, sin, *strides, heads, half=half, block=triton.next_power_of_2(half), count=_HEADS)
    return query, key


# Triton reads the annotations, and has none for pointers
@triton.jit  # type: ignore[untyped-decorator, unused-ignore]
def _rotate(  # type: ignore[no-untyped-def]
    query, key, cos, sin, patch_stride, head_stride, heads, half: tl.constexpr, block: tl.constexpr, count: tl.constexpr
):
    patch = tl.program_id(0).to(tl.int64)
    head = tl.program_id(1) * count + tl.arange(0, count)
    lane = tl.arange(0, block)
    is_angle = lane < half
    c = tl.load(cos + patch * half + lane, mask=is_angle, other=0.0)[None, :]
    s = tl.load(sin + patch * half + lane, mask=is_angle, other=0.0)[None, :]
    base = query if tl.program_id(2) == 0 else key
    at = base + patch * patch_stride + head[:, None] * head_stride + lane[None, :]
    is_valid = (head[:, None] < heads) & is_angle[None, :]
    first = tl.load(at, mask=is_valid, other=0.0).to(tl.float32)
    second = tl.load(at + half, mask=is_valid, other=0.0).to(tl.float32)
    tl.store(at, first * c - second * s, mask=is_valid)
    tl.store(at + half, second * c + first * s, mask=is_valid)
