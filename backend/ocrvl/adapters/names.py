"""Names of modules, which transformers 5 and the checkpoint's remote code spell differently, and names of adapters."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import AfterValidator

_SPELLINGS: Final = (
    # what peft writes in front of all
    ("base_model.model.", ""),
    ("model.language_model.", "model."),
    ("language_model.model.", "model."),
    ("model.visual.", "visual."),
    ("model.projector.", "mlp_AR."),
)
_LANGUAGE: Final = r"model\.layers\.\d+\.(self_attn\.[qkvo]_proj|mlp\.(gate|up|down)_proj)"
_VISION: Final = r"visual\.vision_model\.encoder\.layers\.\d+\.(self_attn\.([qkv]|out)_proj|mlp\.fc[12])"
_PROJECTOR: Final = r"mlp_AR\.linear_[12]"
_ADAPTABLE: Final = re.compile(f"{_LANGUAGE}|{_VISION}|{_PROJECTOR}")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

ADAPTABLE: Final = (
    "the language model's q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj and down_proj, the vision encoder's "
    "q_proj, k_proj, v_proj, out_proj, fc1 and fc2, and the projector's linear_1 and linear_2"
)
"""The modules that adapters may change, in words."""


def check_name(name: str) -> str:
    """An adapter's name as it is. Raises `ValueError` that says what is expected."""
    if not _NAME.fullmatch(name):
        raise ValueError("expected a name of up to 64 letters, digits and signs of ._-")
    return name


AdapterName = Annotated[str, AfterValidator(check_name)]


def canonical(module: str) -> str:
    """A module's name as the checkpoint has it.

    >>> canonical("base_model.model.model.language_model.layers.0.mlp.up_proj")
    'model.layers.0.mlp.up_proj'
    >>> canonical("model.projector.linear_1"), canonical("mlp_AR.linear_1")
    ('mlp_AR.linear_1', 'mlp_AR.linear_1')
    """
    for prefix, replacement in _SPELLINGS:
        if module.startswith(prefix):
            module = replacement + module.removeprefix(prefix)
    return module


def is_adaptable(module: str) -> bool:
    """Whether adapters may change the module of this canonical name."""
    return _ADAPTABLE.fullmatch(module) is not None


def is_of_encoder(module: str) -> bool:
    """Whether it belongs to the vision encoder or the projector."""
    return not module.startswith("model.")
