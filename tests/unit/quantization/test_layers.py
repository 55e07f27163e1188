"""Which layers of PaddleOCR-VL are quantised, in its real shapes, and which are left out by name."""

from __future__ import annotations

import re

import pytest

from ocrvl.quantization.layers import LayerChoice, Parts, find_layer
from ocrvl.quantization.schemes import FORMATS, Scheme

TEXT = {
    "self_attn.q_proj": (2048, 1024),
    "self_attn.k_proj": (256, 1024),
    "self_attn.v_proj": (256, 1024),
    "self_attn.o_proj": (1024, 2048),
    "mlp.gate_proj": (3072, 1024),
    "mlp.up_proj": (3072, 1024),
    "mlp.down_proj": (1024, 3072),
}
VISION = {
    **{f"self_attn.{name}_proj": (1152, 1152) for name in ("q", "k", "v", "out")},
    "mlp.fc1": (4304, 1152),
    "mlp.fc2": (1152, 4304),
}
OTHERS = {
    "lm_head.weight": (103_424, 1024),
    "model.embed_tokens.weight": (103_424, 1024),
    "model.norm.weight": (1024,),
    "mlp_AR.linear_1.weight": (4608, 4608),
    "visual.vision_model.embeddings.patch_embedding.weight": (1152, 3, 14, 14),
    "visual.vision_model.head.mlp.fc1.weight": (4304, 1152),
    "visual.vision_model.encoder.layers.0.self_attn.q_proj.bias": (1152,),
}
SHAPES = {
    **{f"model.layers.{layer}.{name}.weight": shape for layer in range(2) for name, shape in TEXT.items()},
    **{f"visual.vision_model.encoder.layers.3.{name}.weight": shape for name, shape in VISION.items()},
    **OTHERS,
}


def ignores(choice: LayerChoice, name: str) -> bool:
    """As vLLM and compressed-tensors match it."""
    return any(re.match(pattern.removeprefix("re:"), name) for pattern in choice.ignored)


@pytest.mark.parametrize("scheme", [Scheme.FP8, Scheme.INT8])
def test_eight_bits_take_every_layer_of_both_parts(scheme: Scheme) -> None:
    choice = LayerChoice.of(SHAPES, Parts.ALL, FORMATS[scheme].multiple)
    assert choice.quantized == SHAPES.keys() - OTHERS.keys()
    assert choice.left_out == ()
    assert not ignores(choice, "visual.vision_model.encoder.layers.3.mlp.fc1")


def test_four_bits_leave_the_vision_mlp_out_and_say_why() -> None:
    choice = LayerChoice.of(SHAPES, Parts.ALL, FORMATS[Scheme.W4A16].multiple)
    assert choice.left_out == (
        "vision mlp.fc1: [4304, 1152] is not divisible by 32",
        "vision mlp.fc2: [1152, 4304] is not divisible by 32",
    )
    for name in ("fc1", "fc2"):
        assert ignores(choice, f"visual.vision_model.encoder.layers.0.mlp.{name}")
    assert not ignores(choice, "visual.vision_model.encoder.layers.0.self_attn.qkv_proj")


@pytest.mark.parametrize("prefix", ["visual", "model.visual"])
def test_the_text_alone_leaves_the_vision_encoder_by_both_of_its_names(prefix: str) -> None:
    choice = LayerChoice.of(SHAPES, Parts.TEXT, 16)
    assert {find_layer(name) for name in choice.quantized} == {
        ("text", kind) for kind in ("self_attn.qkv_proj", "self_attn.o_proj", "mlp.gate_up_proj", "mlp.down_proj")
    }
    assert ignores(choice, f"{prefix}.vision_model.encoder.layers.0.self_attn.qkv_proj")
    assert not ignores(choice, "language_model.model.layers.0.self_attn.qkv_proj")


def test_layers_that_are_one_product_stay_together() -> None:
    odd = {**SHAPES, "model.layers.1.mlp.up_proj.weight": (3080, 1024)}
    choice = LayerChoice.of(odd, Parts.TEXT, 16)
    assert choice.left_out == ("text mlp.gate_up_proj: [3080, 1024] is not divisible by 16",)
    assert not [name for name in choice.quantized if "gate" in name or "up_proj" in name]
    for name in ("gate_proj", "up_proj", "gate_up_proj"):
        assert ignores(choice, f"language_model.model.layers.0.mlp.{name}")


@pytest.mark.parametrize("name", OTHERS)
def test_all_else_belongs_to_no_layer(name: str) -> None:
    assert find_layer(name) is None


@pytest.mark.parametrize("name", ["lm_head", "mlp_AR.linear_1", "model.projector.linear_2", "language_model.lm_head"])
def test_head_and_projector_are_never_quantised(name: str) -> None:
    assert ignores(LayerChoice.of(SHAPES, Parts.ALL, 16), name)
