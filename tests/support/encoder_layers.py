"""A layer of the vision encoder as vLLM has it, of random weights, on any device."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch


class TupleLinear(torch.nn.Linear):  # type: ignore[misc, unused-ignore]
    """A linear layer that answers as vLLM's do."""

    def forward(self, values: torch.Tensor) -> Any:
        """The product, and no bias that is left to add."""
        return super().forward(values), None


class Mlp(torch.nn.Module):  # type: ignore[misc, unused-ignore]
    """Two products with GELU between them."""

    def __init__(self, hidden: int, inner: int) -> None:
        super().__init__()
        self.fc1 = TupleLinear(hidden, inner)
        self.fc2 = TupleLinear(inner, hidden)
        self.activation_fn = torch.nn.GELU(approximate="tanh")

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """As vLLM's."""
        changed: torch.Tensor = self.fc2(self.activation_fn(self.fc1(values)[0]))[0]
        return changed


def make_layer(hidden: int, inner: int, device: torch.device, dtype: torch.dtype) -> Any:
    """A layer without its attention."""
    parts = {
        "self_attn": torch.nn.ModuleDict(
            {"qkv_proj": TupleLinear(hidden, 3 * hidden), "out_proj": TupleLinear(hidden, hidden)}
        ),
        "layer_norm1": torch.nn.LayerNorm(hidden),
        "layer_norm2": torch.nn.LayerNorm(hidden),
        "mlp": Mlp(hidden, inner),
    }
    placed = {name: part.to(device, dtype) for name, part in parts.items()}
    return SimpleNamespace(**placed | {"self_attn": SimpleNamespace(**dict(placed["self_attn"].named_children()))})
