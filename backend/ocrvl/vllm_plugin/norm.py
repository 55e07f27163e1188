"""The vision encoder's sums and layer normalisations: on a GPU one kernel for both, which reads each number once."""

from __future__ import annotations

from typing import Final

import torch
from vllm.triton_utils import HAS_TRITON, tl, triton

_WARPS: Final = 4
"""A row has some thousand numbers."""


def add_norm(
    hidden: torch.Tensor, change: torch.Tensor | None, norm: torch.nn.LayerNorm
) -> tuple[torch.Tensor, torch.Tensor]:
    """The sum of `hidden` and `change`, both [P, hidden], and what `norm` makes of it; both in their dtype.

    Computed in float32. On a GPU the sum is written over `hidden`.
    """
    if not HAS_TRITON or not hidden.is_cuda:
        hidden = hidden if change is None else hidden + change
        return hidden, norm(hidden)
    normalized = torch.empty_like(hidden)
    launch_add_norm(hidden, change, norm, normalized)
    return hidden, normalized


def launch_add_norm(
    hidden: torch.Tensor,
    change: torch.Tensor | None,
    norm: torch.nn.LayerNorm,
    normalized: torch.Tensor,
    scale: torch.Tensor | None = None,
) -> None:
    """Write the sum over `hidden` and its normalised values to `normalized`, all [P, hidden] and contiguous.

    With `scale`, float32 [P], the values are divided by what is written there, so that the largest of a row becomes
    the largest of FP8.
    """
    patches, width = hidden.shape
    has_change, has_scale, block = change is not None, scale is not None, triton.next_power_of_2(width)
    # where there is none, any tensor: no number is read of it
    given, scales = hidden if change is None else change, hidden if scale is None else scale
    _add_norm[(patches,)](
        *(hidden, given, norm.weight, norm.bias, normalized, scales, width, norm.eps),
        *(has_change, has_scale, block),
        num_warps=_WARPS,
    )


# Triton reads the annotations, and has none for pointers
@triton.jit  # type: ignore[untyped-decorator, unused-ignore]
def _add_norm(  # type: ignore[no-untyped-def]
    hidden,
    change,
    weight,
    bias,
    normalized,
    scale,
    width,
    eps,
    has_change: tl.constexpr,
    has_scale: tl.constexpr,
    block: tl.constexpr,
):
    row = tl.program_id(0).to(tl.int64)
    lane = tl.arange(0, block)
    at = row * width + lane
    is_valid = lane < width
    value = tl.load(hidden + at, mask=is_valid, other=0.0)
    if has_change:
        total = value.to(tl.float32) + tl.load(change + at, mask=is_valid, other=0.0).to(tl.float32)
        # rounded, as the sum that is kept is
        value = total.to(hidden.dtype.element_ty)
        tl.store(hidden + at, value, mask=is_valid)
    exact = value.to(tl.float32)
    centered = tl.where(is_valid, exact - tl.sum(exact, 0) / width, 0.0)
    result = centered * tl.rsqrt(tl.sum(centered * centered, 0) / width + eps)
    factor = tl.load(weight + lane, mask=is_valid, other=0.0).to(tl.float32)
    result = result * factor + tl.load(bias + lane, mask=is_valid, other=0.0).to(tl.float32)
    if has_scale:
        # as `ocrvl.vllm_plugin.fp8` has it
        largest = tl.maximum(tl.max(tl.abs(result), 0), 1e-12) / 448.0
        tl.store(scale + row, largest)
        result = result / largest
    tl.store(normalized + at, result.to(normalized.dtype.element_ty), mask=is_valid)
