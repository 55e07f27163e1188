"""What the vision encoder's layers compute with fewer kernels, against what it stands for."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch.nn.functional import gelu, linear

from ocrvl.vllm_plugin.encoder_layer import EncoderLayer, gelu_product, is_tanh_gelu
from ocrvl.vllm_plugin.fp8 import LARGEST, Fp8EncoderLayer, quantize
from ocrvl.vllm_plugin.norm import add_norm
from tests.support.encoder_layers import make_layer

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
needs_gpu = pytest.mark.skipif(DEVICE.type == "cpu", reason="needs a GPU")


@pytest.fixture(scope="module")
def kernel_differences() -> dict[str, dict[str, float]]:
    command = [sys.executable, "-m", "tests.support.kernels"]
    environment = {**os.environ, "TRITON_INTERPRET": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    found: dict[str, dict[str, float]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("change", ["with a change", "without a change"])
@pytest.mark.parametrize(("dtype", "bound"), [("float32", 1e-5), ("bfloat16", 0.07)])
def test_the_kernel_of_sums_and_norms_computes_what_torch_does(
    kernel_differences: dict[str, dict[str, float]], dtype: str, bound: float, change: str
) -> None:
    differences = kernel_differences[f"{dtype}, {change}"]
    assert max(differences.values()) < bound


def test_the_kernels_that_write_fp8_use_all_of_its_range(
    kernel_differences: dict[str, dict[str, float]],
) -> None:
    assert max(kernel_differences["fp8"].values()) < 1e-3


@pytest.mark.parametrize("seed", range(8))
def test_gelu_within_the_product_is_gelu_after_it(seed: int) -> None:
    random = np.random.default_rng(seed)
    patches, inner, outer = (int(size) for size in random.integers(2, 40, 3) * 8)
    torch.manual_seed(seed)
    values = torch.randn(patches, inner, device=DEVICE)
    weight, bias = torch.randn(outer, inner, device=DEVICE) / inner**0.5, torch.randn(outer, device=DEVICE)
    exact = gelu(linear(values, weight, bias), approximate="tanh")
    # on a CPU it is the exact GELU, up to 5e-4 away
    assert float((gelu_product(values, weight, bias) - exact).abs().max()) < 2e-3
    rounded = gelu_product(*(part.bfloat16() for part in (values, weight, bias))).float()
    assert float((rounded - exact).abs().max()) < 0.05


@pytest.mark.parametrize(
    ("activation", "is_tanh"),
    [
        (torch.nn.GELU(approximate="tanh"), True),
        (lambda values: gelu(values, approximate="tanh"), True),
        (torch.nn.GELU(), False),
        (torch.nn.SiLU(), False),
    ],
)
def test_gelu_with_tanh_is_known_by_what_it_computes(activation: torch.nn.Module, is_tanh: bool) -> None:
    assert is_tanh_gelu(activation, DEVICE) is is_tanh


@pytest.mark.parametrize("seed", range(4))
def test_a_layer_computes_the_same_with_gelu_in_its_product(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(seed)
    torch.manual_seed(seed)
    patches, width, inner = (int(size) for size in random.integers(2, 20, 3) * 16)
    with torch.inference_mode():
        layer = make_layer(width, inner, DEVICE, torch.float32)
        hidden, change = torch.randn(2, patches, width, device=DEVICE)
        summed = hidden + change
        expected = layer.mlp(layer.layer_norm2(summed))
        for is_fused in (False, True):
            monkeypatch.setattr(EncoderLayer, "_fuses_gelu", is_fused)
            kept, changed = EncoderLayer(layer).apply_mlp(hidden.clone(), change)
            assert torch.allclose(kept, summed)
            # on a CPU it is the exact GELU
            assert float((changed - expected).abs().max()) < 2e-3


@needs_gpu
@pytest.mark.parametrize("seed", range(8))
def test_sums_and_norms_are_those_of_torch_on_a_gpu(seed: int) -> None:
    random = np.random.default_rng(seed)
    patches, width = int(random.integers(1, 3000)), int(random.integers(1, 600)) * 4
    hidden, change = torch.randn(2, patches, width, device=DEVICE, dtype=torch.bfloat16)
    norm = torch.nn.LayerNorm(width, eps=1e-6).to(DEVICE, torch.bfloat16)
    total = hidden + change
    expected = norm(total)
    with torch.inference_mode():
        summed, normalized = add_norm(hidden, change, norm)
    assert torch.equal(summed, total)
    assert float((normalized - expected).abs().max()) < 0.07


@needs_gpu
@pytest.mark.parametrize("seed", range(4))
def test_rows_are_made_fp8_by_a_gpu_as_by_torch(seed: int) -> None:
    torch.manual_seed(seed)
    values = torch.randn(200, 64 * (seed + 1), device=DEVICE, dtype=torch.bfloat16)
    with torch.inference_mode():
        for has_gelu in (False, True):
            expected = gelu(values.float(), approximate="tanh") if has_gelu else values.float()
            rows = quantize(values, has_gelu=has_gelu)
            largest = expected.abs().amax(1, keepdim=True)
            difference = (rows.values.float() * rows.scale - expected).abs()
            assert bool((difference <= expected.abs() / 15 + largest / LARGEST * 2**-9).all())


@needs_gpu
@pytest.mark.skipif(
    DEVICE.type == "cuda" and torch.cuda.get_device_capability() < (8, 9), reason="needs a GPU with FP8"
)
@pytest.mark.parametrize("patches", [4, 700, 1537])
def test_a_layer_in_fp8_computes_nearly_what_it_does_without_on_a_gpu(patches: int) -> None:
    torch.manual_seed(patches)
    with torch.inference_mode():
        layer = make_layer(192, 768, DEVICE, torch.bfloat16)
        hidden, change = torch.randn(2, patches, 192, device=DEVICE, dtype=torch.bfloat16)

        def run(layer: EncoderLayer) -> list[torch.Tensor]:
            total, projected = layer.project_in(hidden.clone(), None)
            return [projected, layer.project_out(change), *layer.apply_mlp(total, change)]

        for ours, theirs in zip(run(Fp8EncoderLayer(layer)), run(EncoderLayer(layer)), strict=True):
            assert float((ours - theirs).norm() / theirs.norm()) < 0.06
