"""The vision encoder in FP8: what its numbers stand for, what a layer of them computes, where it is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from vllm.platforms import current_platform

from ocrvl import vllm_plugin as plugin
from ocrvl.engine_settings import EngineSettings
from ocrvl.models.engine.vllm_engine import arguments
from ocrvl.vllm_plugin import fp8
from ocrvl.vllm_plugin.encoder_layer import EncoderLayer
from ocrvl.vllm_plugin.fp8 import LARGEST, Fp8EncoderLayer, Fp8Product, Fp8Rows, fits
from ocrvl.vllm_plugin.settings import find_fp8_problem
from tests.support.encoder_layers import make_layer

GOOD: dict[str, Any] = {"dtype": "auto", "tensor_parallel_size": 1, "quantization": None}


def restore(rows: Fp8Rows) -> torch.Tensor:
    return rows.values.float() * rows.scale


@pytest.mark.parametrize("seed", range(6))
def test_rows_in_fp8_stand_for_what_they_were_made_of(seed: int) -> None:
    random = np.random.default_rng(seed)
    torch.manual_seed(seed)
    rows = torch.randn(*random.integers(1, 200, 2).tolist()) * 10.0 ** int(random.integers(-6, 6))
    quantized = Fp8Rows.of(rows)
    largest = rows.abs().amax(1, keepdim=True)
    assert quantized.values.float().abs().amax(1).tolist() == [LARGEST] * len(rows)
    # three bits behind the first: at most a sixteenth of a number, or of the smallest that has all of them
    assert bool(((restore(quantized) - rows).abs() <= rows.abs() / 16 + largest / LARGEST * 2**-10).all())


def test_rows_of_zeros_stay_zeros() -> None:
    assert restore(Fp8Rows.of(torch.zeros(2, 16))).tolist() == [[0.0] * 16] * 2


@pytest.mark.on_a_cpu
@pytest.mark.parametrize("seed", range(4))
def test_a_product_in_fp8_is_that_of_what_its_numbers_stand_for(seed: int) -> None:
    torch.manual_seed(seed)
    values, weight, bias = torch.randn(7, 32), torch.randn(48, 32).bfloat16(), torch.randn(48).bfloat16()
    product = Fp8Product(weight, bias)(Fp8Rows.of(values))
    expected = restore(Fp8Rows.of(values)) @ restore(Fp8Rows.of(weight)).t() + bias.float()
    assert product.dtype == torch.bfloat16
    assert torch.allclose(product.float(), expected, rtol=2**-7, atol=0.05)


@pytest.mark.on_a_cpu
@pytest.mark.parametrize("seed", range(3))
def test_a_layer_in_fp8_computes_nearly_what_it_does_without(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def quantize(values: torch.Tensor, *, has_gelu: bool = False) -> Fp8Rows:
        return Fp8Rows.of(torch.nn.functional.gelu(values, approximate="tanh") if has_gelu else values)

    def add_norm(hidden: torch.Tensor, change: torch.Tensor | None, norm: torch.nn.LayerNorm) -> Fp8Rows:
        return Fp8Rows.of(norm(hidden if change is None else hidden.add_(change)))

    # what the kernels compute, which are for GPUs
    monkeypatch.setattr(fp8, "quantize", quantize)
    monkeypatch.setattr(fp8, "add_norm_fp8", add_norm)
    torch.manual_seed(seed)
    with torch.inference_mode():
        layer = make_layer(64, 160, torch.device("cpu"), torch.bfloat16)
        hidden, change = torch.randn(2, 50, 64, dtype=torch.bfloat16)

        def run(layer: EncoderLayer) -> list[torch.Tensor]:
            total, projected = layer.project_in(hidden.clone(), None)
            return [projected, layer.project_out(change), *layer.apply_mlp(total, change)]

        for ours, theirs in zip(run(Fp8EncoderLayer(layer)), run(EncoderLayer(layer)), strict=True):
            assert ours.shape == theirs.shape
            assert float((ours - theirs).norm() / theirs.norm()) < 0.06


def test_dimensions_that_sixteen_does_not_divide_do_not_fit() -> None:
    assert fits(torch.empty(4304, 1152))
    assert not fits(torch.empty(1152, 588))
    assert not fits(torch.empty(1000, 1152))


def settings(tmp_path: Path, **changes: Any) -> EngineSettings:
    file = tmp_path / "model.json"
    given = {"model": "nano", "additional_config": {"encoder_precision": "fp8"}, **changes}
    file.write_text(json.dumps(given), "utf-8")
    return EngineSettings.from_file(file)


@pytest.mark.on_a_cpu
def test_fp8_is_refused_on_a_cpu_before_an_engine_starts(tmp_path: Path) -> None:
    plugin.register()
    with pytest.raises(ValueError, match=r"encoder_precision: fp8: expected an NVIDIA GPU.*found cpu; leave it out"):
        arguments.check_encoder_precision(settings(tmp_path))
    arguments.check_encoder_precision(settings(tmp_path, additional_config={"encoder_precision": "auto"}))


def test_fp8_is_refused_without_the_packed_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugin, "is_registered", lambda: False)
    with pytest.raises(ValueError, match="packed_encoder"):
        arguments.check_encoder_precision(settings(tmp_path))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({}, None),
        ({"dtype": "torch.bfloat16"}, None),
        ({"dtype": "float16"}, "expected bfloat16, found dtype float16"),
        ({"tensor_parallel_size": 2}, "expected tensor_parallel_size 1, found 2"),
        ({"quantization": "fp8"}, "expected weights that are not quantized, found quantization fp8"),
    ],
)
def test_what_stands_against_fp8_is_named(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], problem: str | None
) -> None:
    monkeypatch.setattr(type(current_platform), "is_cuda", lambda _self: True)
    monkeypatch.setattr(type(current_platform), "get_device_name", lambda _self: "A100")
    monkeypatch.setattr(type(current_platform), "has_device_capability", lambda _self, wanted: wanted <= 90)
    assert find_fp8_problem(**GOOD | changes) == problem
    monkeypatch.setattr(type(current_platform), "has_device_capability", lambda _self, wanted: wanted <= 80)
    assert "found A100" in str(find_fp8_problem(**GOOD | changes))
