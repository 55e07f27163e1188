"""What a scheme makes of one weight, without data: its numbers and their scales.

The arithmetic is that of compressed-tensors, whose own functions have moved from version to version; the tests hold
one to the other.
"""

from __future__ import annotations

from typing import Final

import torch

from ocrvl.quantization.schemes import FORMATS, PACKED, Scheme, SchemeFormat

_CLIPS: Final = (1.0, 0.95, 0.9, 0.85, 0.8)
"""Shares of a group's largest number that 4 bits may end at: the one with the least squared error is taken."""


def quantize_weight(weight: torch.Tensor, scheme: Scheme) -> dict[str, torch.Tensor]:
    """The tensors of `stored_tensors` for a floating weight [out, in], whose dtype its scales keep."""
    form = FORMATS[scheme]
    groups = weight.float().unflatten(1, (-1, form.group or weight.shape[1]))
    largest = groups.abs().amax(-1, keepdim=True)
    if form.group is None:
        values, scale = _round(groups, largest, form, weight.dtype)
        return {"weight": values.flatten(1), "weight_scale": scale.flatten(1)}
    values, scale = _clip(groups, largest, form, weight.dtype)
    return {
        "weight_packed": _pack(values.flatten(1)),
        "weight_scale": scale.flatten(1),
        "weight_shape": torch.tensor(weight.shape),
    }


def _clip(
    groups: torch.Tensor, largest: torch.Tensor, form: SchemeFormat, dtype: torch.dtype
) -> tuple[torch.Tensor, torch.Tensor]:
    values, scale = _round(groups, largest, form, dtype)
    least = _squared_error(groups, values, scale)
    for clip in _CLIPS[1:]:
        clipped, smaller = _round(groups, largest * clip, form, dtype)
        error = _squared_error(groups, clipped, smaller)
        is_better = error < least
        values, scale = torch.where(is_better, clipped, values), torch.where(is_better, smaller, scale)
        least = torch.minimum(error, least)
    return values, scale


def _round(
    groups: torch.Tensor, largest: torch.Tensor, form: SchemeFormat, dtype: torch.dtype
) -> tuple[torch.Tensor, torch.Tensor]:
    # rounded to what is stored before it divides, so that every reader multiplies by what was divided by
    scale = (largest / form.half_range).to(dtype).clamp(min=torch.finfo(dtype).tiny)
    scaled = groups / scale.float()
    if form.kind == "float":
        # beyond its largest number the conversion gives no number at all
        return scaled.clamp(-form.half_range, form.half_range).to(torch.float8_e4m3fn), scale
    return scaled.round().clamp(-form.half_range - 0.5, form.half_range - 0.5).to(torch.int8), scale


def _squared_error(groups: torch.Tensor, values: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    return (values.float() * scale.float() - groups).square().sum(-1, keepdim=True)


def _pack(values: torch.Tensor) -> torch.Tensor:
    """Int8 [out, in] of -8 to 7 as int32 [out, in / 8], the first in the lowest bits, moved to 0 to 15."""
    shifts = torch.arange(0, 32, 4)
    moved = (values.to(torch.int64) + 8).unflatten(1, (-1, PACKED)) << shifts
    # as int64 the highest bit is no sign
    packed = moved.sum(-1)
    return torch.where(packed >= 2**31, packed - 2**32, packed).to(torch.int32)
