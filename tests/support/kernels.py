"""The plugin's Triton kernels in Triton's interpreter, on a CPU, against torch: prints the largest differences.

Run with `TRITON_INTERPRET=1`, in a process of its own: Triton asks for it once, when it is imported.
"""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace

import torch
import triton  # type: ignore[import-untyped]
import triton.language as tl  # type: ignore[import-untyped]

# vLLM's has no Triton where there is no GPU
sys.modules["vllm.triton_utils"] = SimpleNamespace(HAS_TRITON=True, tl=tl, triton=triton)  # type: ignore[assignment]

from ocrvl.vllm_plugin.norm import launch_add_norm  # noqa: E402

# and this is in the way of vLLM's own modules
sys.modules["ocrvl.vllm_plugin.encoder_layer"] = SimpleNamespace(EncoderLayer=object)  # type: ignore[assignment]

from ocrvl.vllm_plugin.fp8 import LARGEST, Fp8Rows, launch_quantize  # noqa: E402

SHAPES = ((1, 4), (3, 72), (5, 192), (2, 1152))


def add_norm(dtype: torch.dtype, *, has_change: bool) -> dict[str, float]:
    """Sums and norms of random numbers."""
    sums, norms = [0.0], [0.0]
    for patches, width in SHAPES:
        hidden, change = torch.randn(2, patches, width).to(dtype)
        norm = torch.nn.LayerNorm(width, eps=1e-6)
        torch.nn.init.normal_(norm.weight)
        torch.nn.init.normal_(norm.bias)
        norm.to(dtype)
        total = hidden + change if has_change else hidden.clone()
        normalized = torch.empty_like(hidden)
        launch_add_norm(hidden, change if has_change else None, norm, normalized)
        sums.append(float((hidden - total).abs().max()))
        norms.append(float((normalized - norm(total)).abs().max()))
    return {"sum": max(sums), "norm": max(norms)}


def fp8() -> dict[str, float]:
    """What FP8 would stand for, before it is rounded: the interpreter's rounding to it is wrong."""
    norms, plains, gelus = [0.0], [0.0], [0.0]
    for patches, width in SHAPES:
        hidden, change = torch.randn(2, patches, width)
        norm = torch.nn.LayerNorm(width)
        expected = norm(hidden + change)
        rows = exact_rows(change)
        launch_add_norm(hidden, change, norm, rows.values, rows.scale)
        norms.append(distance(rows, expected))
        launch_quantize(change, rows, has_gelu=False)
        plains.append(distance(rows, change))
        launch_quantize(change, rows, has_gelu=True)
        gelus.append(distance(rows, torch.nn.functional.gelu(change, approximate="tanh")))
    return {"norm": max(norms), "plain": max(plains), "gelu": max(gelus)}


def exact_rows(like: torch.Tensor) -> Fp8Rows:
    """Room for rows like these that are not rounded."""
    return Fp8Rows(torch.empty_like(like), torch.empty(len(like), 1))


def distance(rows: Fp8Rows, expected: torch.Tensor) -> float:
    """The largest difference, or how far the largest of a row is from the largest of FP8."""
    difference = (rows.values * rows.scale - expected).abs().max()
    return max(float(difference), float((rows.values.abs().amax(1) - LARGEST).abs().max()))


def main() -> None:
    """Compare all kernels."""
    torch.manual_seed(0)
    with torch.inference_mode():
        differences = {
            f"{dtype}, {'with' if has_change else 'without'} a change".removeprefix("torch."): add_norm(
                dtype, has_change=has_change
            )
            for dtype in (torch.float32, torch.bfloat16)
            for has_change in (True, False)
        } | {"fp8": fp8()}
    sys.stdout.write(json.dumps(differences))


if __name__ == "__main__":
    main()
