"""What the schemes make of weights: close to them, and what compressed-tensors itself reads."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from compressed_tensors.compressors import BaseCompressor
from compressed_tensors.quantization import QuantizationScheme

from ocrvl.quantization.arithmetic import quantize_weight
from ocrvl.quantization.schemes import FORMATS, Scheme, quantization_config, stored_tensors
from ocrvl.quantization.weights import Entry


def weight(dtype: torch.dtype = torch.bfloat16) -> torch.Tensor:
    """[48, 96] with outputs of all sizes, an outlier, and rows of zeros."""
    values = torch.randn(48, 96, generator=torch.Generator().manual_seed(1))
    values *= torch.logspace(-4, 2, 48)[:, None]
    values[5, 17] = 90
    values[7] = 0
    return values.to(dtype)


def restore(stored: dict[str, torch.Tensor], scheme: Scheme) -> torch.Tensor:
    """The weight as compressed-tensors reads it."""
    (group,) = quantization_config(scheme, [])["config_groups"].values()
    compressor: Any = BaseCompressor.get_value_from_registry(FORMATS[scheme].name)
    restored: torch.Tensor = compressor.decompress(stored, QuantizationScheme.model_validate(group))["weight"]
    return restored


@pytest.mark.parametrize("scheme", Scheme)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_a_weight_is_read_again_within_the_error_of_its_scheme(scheme: Scheme, dtype: torch.dtype) -> None:
    exact = weight(dtype)
    restored = restore(quantize_weight(exact, scheme), scheme).float()
    group = FORMATS[scheme].group or exact.shape[1]
    largest = exact.float().unflatten(1, (-1, group)).abs().amax(-1, keepdim=True)
    error = (restored - exact.float()).abs().unflatten(1, (-1, group))
    # and what bfloat16 rounds of the product
    assert bool((error <= largest * (FORMATS[scheme].error + 2**-8)).all())
    assert bool(torch.isfinite(restored).all())
    assert not restored[7].any()


@pytest.mark.parametrize("scheme", Scheme)
def test_what_is_stored_has_the_shapes_that_were_planned(scheme: Scheme) -> None:
    stored = quantize_weight(weight(), scheme)
    planned = {name: Entry(*one) for name, one in stored_tensors(scheme, (48, 96), "BF16").items()}
    assert {name: tuple(one.shape) for name, one in stored.items()} == {
        name: one.shape for name, one in planned.items()
    }
    assert {name: one.nbytes for name, one in stored.items()} == {name: one.size for name, one in planned.items()}


def test_four_bits_are_clipped_only_where_that_lessens_the_error() -> None:
    exact = weight(torch.float32)
    restored = restore(quantize_weight(exact, Scheme.W4A16), Scheme.W4A16)
    groups = exact.unflatten(1, (-1, 32))
    scale = (groups.abs().amax(-1, keepdim=True) / 7.5).clamp(min=1e-30)
    unclipped = ((groups / scale).round().clamp(-8, 7) * scale).flatten(1)
    errors = [(one - exact).square().unflatten(1, (-1, 32)).sum(-1) for one in (restored, unclipped)]
    assert bool((errors[0] <= errors[1] * (1 + 1e-5)).all())
    assert float(errors[0].sum()) < 0.97 * float(errors[1].sum())
