"""The linear layers of PaddleOCR-VL by the names of their weights: which part they belong to, which go together."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

Shape = tuple[int, ...]


class Parts(StrEnum):
    """What of a checkpoint is quantised: the text model, or the vision encoder as well."""

    TEXT = "text"
    ALL = "all"


TEXT: Final = "text"
VISION: Final = "vision"

_LAYERS: Final = {
    TEXT: re.compile(r"model\.(?:language_model\.)?layers\.(\d+)\.(self_attn|mlp)\.(\w+)\.weight"),
    VISION: re.compile(r"(?:model\.)?visual\.vision_model\.encoder\.layers\.(\d+)\.(self_attn|mlp)\.(\w+)\.weight"),
}
"""As PaddlePaddle's own code names them, and transformers."""

_TOGETHER: Final = {
    "q_proj": "qkv_proj",
    "k_proj": "qkv_proj",
    "v_proj": "qkv_proj",
    "gate_proj": "gate_up_proj",
    "up_proj": "gate_up_proj",
}
"""What vLLM computes in one product, and calls so: all of it is quantised, or none."""

_NEVER: Final = ("re:.*lm_head.*", "re:.*mlp_AR.*", "re:.*projector.*", "re:.*vision_model\\.head.*")
"""The head and the projector, and layers of the vision model that are not used, by all names that they have."""

_PREFIX: Final = {TEXT: ".*language_model.*", VISION: ".*visual.*"}


@dataclass(frozen=True)
class LayerChoice:
    """`quantized` are weights by their names, `left_out` kinds of layers with the reasons: `vision mlp.fc2: …`.

    `ignored` are patterns of names for a configuration: all that stays as it is.
    """

    quantized: frozenset[str]
    left_out: tuple[str, ...]
    ignored: tuple[str, ...]

    @classmethod
    def of(cls, shapes: Mapping[str, Shape], parts: Parts, multiple: int) -> LayerChoice:
        """Of a checkpoint's tensors, those whose dimensions are multiples of `multiple`."""
        kinds: dict[tuple[str, str], list[str]] = {}
        for name in shapes:
            if found := find_layer(name):
                kinds.setdefault(found, []).append(name)
        ignored = [*_NEVER, *([f"re:{_PREFIX[VISION]}"] if parts is Parts.TEXT else [])]
        quantized, left_out = set[str](), []
        for (part, kind), names in sorted(kinds.items()):
            if parts is Parts.TEXT and part != TEXT:
                continue
            if reason := _why_not({shapes[name] for name in names}, multiple):
                left_out.append(f"{part} {kind}: {reason}")
                ignored.append(f"re:{_PREFIX[part]}{_alternatives(kind)}")
            else:
                quantized.update(names)
        return cls(frozenset(quantized), tuple(left_out), tuple(ignored))


def find_layer(name: str) -> tuple[str, str] | None:
    """The part and the kind of layer (`mlp.gate_up_proj`) that a weight belongs to; None for all other tensors."""
    for part, pattern in _LAYERS.items():
        if found := pattern.fullmatch(name):
            _, block, layer = found.groups()
            return part, f"{block}.{_TOGETHER.get(layer, layer)}"
    return None


def _why_not(shapes: Iterable[Shape], multiple: int) -> str:
    for shape in sorted(shapes):
        if len(shape) != 2 or any(size % multiple for size in shape):
            return f"{list(shape)} is not divisible by {multiple}"
    return ""


def _alternatives(kind: str) -> str:
    r"""A pattern for the names of a kind, as it is stored and as it is computed.

    >>> _alternatives("mlp.gate_up_proj")
    'mlp\\.(gate_up_proj|gate_proj|up_proj)$'
    """
    block, _, layer = kind.partition(".")
    names = [layer, *(name for name, together in _TOGETHER.items() if together == layer)]
    return f"{block}\\.({'|'.join(names)})$"
