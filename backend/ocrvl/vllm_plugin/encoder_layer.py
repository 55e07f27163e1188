"""What a layer of the vision encoder computes of each patch by itself: all of it but attention.

On a GPU sums and norms are one kernel, and GELU belongs to the matrix product before it.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch
from torch.nn.functional import gelu
from vllm.model_executor.layers.linear import ColumnParallelLinear, UnquantizedLinearMethod

from ocrvl.vllm_plugin.norm import add_norm


class EncoderLayer:
    """A `SiglipEncoderLayer` of vLLM's. `hidden` and `change`, what is added to it next, are [P, hidden]."""

    def __init__(self, layer: Any) -> None:
        self.attention = layer.self_attn
        self._norms = layer.layer_norm1, layer.layer_norm2
        self._mlp = layer.mlp

    def project_in(self, hidden: torch.Tensor, change: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        """`hidden` with `change`, and queries, keys and values [P, 3·hidden] of it."""
        hidden, normalized = add_norm(hidden, change, self._norms[0])
        return hidden, self.attention.qkv_proj(normalized)[0]

    def project_out(self, context: torch.Tensor) -> torch.Tensor:
        """The change by attention, of what it gave [P, hidden]."""
        projected: torch.Tensor = self.attention.out_proj(context)[0]
        return projected

    def apply_mlp(self, hidden: torch.Tensor, change: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """`hidden` with `change`, and the change by the MLP."""
        hidden, normalized = add_norm(hidden, change, self._norms[1])
        if not self._fuses_gelu:
            return hidden, self._mlp(normalized)
        first = self._mlp.fc1
        return hidden, self._mlp.fc2(gelu_product(normalized, first.weight, first.bias))[0]

    @cached_property
    def _fuses_gelu(self) -> bool:
        # at the first pass: weights that are quantised, and adapters, come after the model is made
        return can_fuse_gelu(self._mlp)


def can_fuse_gelu(mlp: Any) -> bool:
    """Whether a `SiglipMLP`'s first product and its activation are what `gelu_product` computes, on NVIDIA's GPUs.

    Not where weights are quantised, or an adapter is wrapped around the product.
    """
    first = mlp.fc1
    return (
        hasattr(torch, "_addmm_activation")
        and torch.version.cuda is not None
        and type(first) is ColumnParallelLinear
        and isinstance(first.quant_method, UnquantizedLinearMethod)
        and first.weight.is_cuda
        and first.weight.dtype in (torch.bfloat16, torch.float16)
        and first.bias is not None
        and is_tanh_gelu(mlp.activation_fn, first.weight.device)
    )


def gelu_product(values: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """GELU of `values` [P, in] times `weight` [out, in] plus `bias` [out], rounded once.

    On a GPU it is approximated with tanh, by cuBLAS before it writes the product.
    """
    return torch._addmm_activation(bias, values, weight.t(), use_gelu=True)


def is_tanh_gelu(activation: Any, device: torch.device) -> bool:
    """Whether this is GELU approximated with tanh, by what it computes: its class differs between versions of vLLM."""
    values = torch.linspace(-4, 4, 33, dtype=torch.float32, device=device)
    # the exact one differs by 5e-4
    return bool(torch.allclose(activation(values), gelu(values, approximate="tanh"), rtol=0, atol=1e-5))
