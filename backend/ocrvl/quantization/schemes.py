"""The schemes: what is stored for a weight, and how a configuration names it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

PACKED: Final = 8
"""Numbers of 4 bits in an int32."""


class Scheme(StrEnum):
    """How linear layers are stored and computed."""

    FP8 = "fp8"
    INT8 = "int8"
    W4A16 = "w4a16"


@dataclass(frozen=True)
class SchemeFormat:
    """`multiple` divides both dimensions of a weight; `half_range` is half of what lies between the outermost numbers.

    `group` is the number of inputs that share a scale, None where an output has one scale. `error` is the largest
    difference to the weight, as a share of the largest number with the same scale.
    """

    name: str
    bits: int
    kind: str
    multiple: int
    half_range: float
    group: int | None
    error: float

    @property
    def quantizes_activations(self) -> bool:
        """Whether what goes into a layer is rounded as well, by token."""
        return self.group is None


FORMATS: Final[Mapping[Scheme, SchemeFormat]] = {
    # E4M3: 3 bits of mantissa, half of 2^-3 around a number
    Scheme.FP8: SchemeFormat("float-quantized", 8, "float", 16, 448.0, None, 2**-4),
    Scheme.INT8: SchemeFormat("int-quantized", 8, "int", 16, 127.5, None, 1 / 127.5),
    # clipped by a fifth at most
    Scheme.W4A16: SchemeFormat("pack-quantized", 4, "int", 32, 7.5, 32, 0.2 + 1 / 7.5),
}


def stored_tensors(scheme: Scheme, shape: tuple[int, int], dtype: str) -> dict[str, tuple[str, tuple[int, ...]]]:
    """The dtype (of safetensors) and shape of each tensor that is stored for a weight [out, in], by its last name."""
    rows, width = shape
    form = FORMATS[scheme]
    if form.group is not None:
        return {
            "weight_packed": ("I32", (rows, width // PACKED)),
            "weight_scale": (dtype, (rows, width // form.group)),
            "weight_shape": ("I64", (2,)),
        }
    return {"weight": ("F8_E4M3" if scheme is Scheme.FP8 else "I8", shape), "weight_scale": (dtype, (rows, 1))}


def quantization_config(scheme: Scheme, ignored: list[str]) -> dict[str, Any]:
    """A `config.json`'s `quantization_config`: all linear layers but those whose names match one of `ignored`."""
    form = FORMATS[scheme]
    weights = {
        "num_bits": form.bits,
        "type": form.kind,
        "symmetric": True,
        "strategy": "group" if form.group else "channel",
        "group_size": form.group,
        "dynamic": False,
    }
    activations = {**weights, "strategy": "token", "dynamic": True} if form.quantizes_activations else None
    group = {
        "targets": ["Linear"],
        "weights": weights,
        "input_activations": activations,
        "output_activations": None,
        "format": form.name,
    }
    return {
        "quant_method": "compressed-tensors",
        "format": form.name,
        "quantization_status": "compressed",
        "config_groups": {"group_0": group},
        "ignore": ignored,
        "kv_cache_scheme": None,
    }
