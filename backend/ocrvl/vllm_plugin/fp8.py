"""The vision encoder's large matrix products in FP8 (E4M3): half of the bytes, three bits of mantissa.

Each output channel of a weight has a scale of its own, made once, and each patch another, made as it comes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import torch
from vllm.triton_utils import tl, triton

from ocrvl.vllm_plugin.encoder_layer import EncoderLayer
from ocrvl.vllm_plugin.norm import launch_add_norm

FP8: Final = torch.float8_e4m3fn
LARGEST: Final = torch.finfo(FP8).max
_MULTIPLE: Final = 16
"""Of both dimensions of a weight, for the GPU's instructions."""

_WIDE: Final = 2048
"""Numbers of a row above which more threads share it."""

_SMALLEST: Final = 1e-12
"""What a row's largest is taken for at least, so that a row of zeros stays one."""


@dataclass(frozen=True)
class Fp8Rows:
    """`values` float8 [rows, width], which stand for themselves times `scale`, float32 [rows, 1]."""

    values: torch.Tensor
    scale: torch.Tensor

    @classmethod
    def empty(cls, like: torch.Tensor) -> Fp8Rows:
        """Room for rows like these."""
        return cls(
            torch.empty_like(like, dtype=FP8), torch.empty(len(like), 1, dtype=torch.float32, device=like.device)
        )

    @classmethod
    def of(cls, rows: torch.Tensor) -> Fp8Rows:
        """The largest of each row [rows, width] becomes the largest that FP8 has."""
        exact = rows.float()
        scale = exact.abs().amax(1, keepdim=True).clamp(min=_SMALLEST) / LARGEST
        return cls((exact / scale).to(FP8), scale)


class Fp8Product:
    """A linear layer with its weight [out, in] in FP8, whose dimensions `fits` has found good."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        self._weight = Fp8Rows.of(weight)
        self._bias = bias
        self._dtype = weight.dtype

    def __call__(self, rows: Fp8Rows) -> torch.Tensor:
        """[rows, out], in the dtype of the weight."""
        return torch._scaled_mm(
            rows.values,
            self._weight.values.t(),
            scale_a=rows.scale,
            scale_b=self._weight.scale.t(),
            bias=self._bias,
            out_dtype=self._dtype,
            use_fast_accum=True,
        )


class Fp8EncoderLayer(EncoderLayer):
    """A layer whose four products are in FP8; on a GPU alone."""

    def project_in(self, hidden: torch.Tensor, change: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        """`hidden` with `change`, and queries, keys and values [P, 3·hidden] of it."""
        return hidden, self._products[0](add_norm_fp8(hidden, change, self._norms[0]))

    def project_out(self, context: torch.Tensor) -> torch.Tensor:
        """The change by attention, of what it gave [P, hidden]."""
        return self._products[1](quantize(context))

    def apply_mlp(self, hidden: torch.Tensor, change: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """`hidden` with `change`, and the change by the MLP."""
        _, _, first, second = self._products
        wide = first(add_norm_fp8(hidden, change, self._norms[1]))
        return hidden, second(quantize(wide, has_gelu=True))

    @cached_property
    def _products(self) -> list[Fp8Product]:
        # at the first pass, when the weights are loaded
        layers = self.attention.qkv_proj, self.attention.out_proj, self._mlp.fc1, self._mlp.fc2
        return [Fp8Product(layer.weight, layer.bias) for layer in layers]


def fits(weight: torch.Tensor) -> bool:
    """Whether the dimensions of a weight are those that FP8 takes."""
    return not any(size % _MULTIPLE for size in weight.shape)


def add_norm_fp8(hidden: torch.Tensor, change: torch.Tensor | None, norm: torch.nn.LayerNorm) -> Fp8Rows:
    """What `norm` makes of the sum of `hidden` and `change`, both [P, hidden]; the sum is written over `hidden`."""
    rows = Fp8Rows.empty(hidden)
    launch_add_norm(hidden, change, norm, rows.values, rows.scale)
    return rows


def quantize(values: torch.Tensor, *, has_gelu: bool = False) -> Fp8Rows:
    """Rows [rows, width] in FP8, or GELU of them, approximated with tanh."""
    rows = Fp8Rows.empty(values)
    launch_quantize(values.contiguous(), rows, has_gelu=has_gelu)
    return rows


def launch_quantize(values: torch.Tensor, rows: Fp8Rows, *, has_gelu: bool) -> None:
    """Write to `rows` what `quantize` returns."""
    count, width = values.shape
    block = triton.next_power_of_2(width)
    warps = 4 if block <= _WIDE else 8
    _quantize[(count,)](values, rows.values, rows.scale, width, has_gelu, block, num_warps=warps)


# Triton reads the annotations, and has none for pointers
@triton.jit  # type: ignore[untyped-decorator, unused-ignore]
def _quantize(values, quantized, scale, width, has_gelu: tl.constexpr, block: tl.constexpr):  # type: ignore[no-untyped-def]
    row = tl.program_id(0).to(tl.int64)
    lane = tl.arange(0, block)
    is_valid = lane < width
    value = tl.load(values + row * width + lane, mask=is_valid, other=0.0).to(tl.float32)
    if has_gelu:
        # x (1 + tanh(u)) / 2 is x sigmoid(2u)
        value = value * tl.sigmoid(1.5957691216057308 * (value + 0.044715 * value * value * value))
    largest = tl.maximum(tl.max(tl.abs(value), 0), 1e-12) / 448.0
    tl.store(scale + row, largest)
    tl.store(quantized + row * width + lane, (value / largest).to(quantized.dtype.element_ty), mask=is_valid)
