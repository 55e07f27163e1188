"""Operations and bytes of PaddleOCR-VL, by arithmetic.

Counts are of matrix products and attention, two operations a multiplication with its addition; norms, activations and
sampling are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

NUMBER_BYTES: Final = 2
"""Of a number in bfloat16."""


@dataclass(frozen=True)
class Shape:
    """The model's dimensions, as its `config.json` has them."""

    vision_hidden: int
    vision_layers: int
    vision_intermediate: int
    patch_size: int
    merge_size: int
    text_hidden: int
    text_layers: int
    text_intermediate: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Shape:
        """From a checkpoint's `config.json`."""
        vision, text = config["vision_config"], config["text_config"]
        return cls(
            vision_hidden=vision["hidden_size"],
            vision_layers=vision["num_hidden_layers"],
            vision_intermediate=vision["intermediate_size"],
            patch_size=vision["patch_size"],
            merge_size=vision["spatial_merge_size"],
            text_hidden=text["hidden_size"],
            text_layers=text["num_hidden_layers"],
            text_intermediate=text["intermediate_size"],
            heads=text["num_attention_heads"],
            kv_heads=text["num_key_value_heads"],
            head_dim=text["head_dim"],
            vocabulary=text["vocab_size"],
        )

    @property
    def layer_weights(self) -> int:
        """Weights of the text model's layers: queries, keys, values, output, and the gated MLP."""
        attention = self.text_hidden * self.head_dim * (2 * self.heads + 2 * self.kv_heads)
        return self.text_layers * (attention + 3 * self.text_hidden * self.text_intermediate)

    @property
    def decode_weights(self) -> int:
        """Weights that each step of decoding reads: the layers' and the output head's."""
        return self.layer_weights + self.text_hidden * self.vocabulary

    @property
    def kv_bytes(self) -> int:
        """Bytes of keys and values that a token leaves behind."""
        return 2 * self.text_layers * self.kv_heads * self.head_dim * NUMBER_BYTES


def encoder_flops(shape: Shape, patches: int) -> int:
    """Operations of the vision encoder with its projector for one image."""
    hidden = shape.vision_hidden
    layer = 4 * hidden**2 + 2 * hidden * shape.vision_intermediate
    embedding = hidden * 3 * shape.patch_size**2
    # queries by keys, then weights by values: each pair of patches, twice
    attention = 2 * shape.vision_layers * 2 * hidden * patches**2
    merged = shape.merge_size**2
    projector = (merged * hidden) ** 2 + merged * hidden * shape.text_hidden
    return 2 * patches * (shape.vision_layers * layer + embedding) + attention + 2 * projector * patches // merged


def prefill_flops(shape: Shape, tokens: int) -> int:
    """Operations of the text model over a prompt: attention to what came before, the output head for the last token."""
    attention = 2 * shape.text_layers * 2 * shape.heads * shape.head_dim * tokens * (tokens + 1) // 2
    return 2 * tokens * shape.layer_weights + attention + 2 * shape.text_hidden * shape.vocabulary


def decode_flops(shape: Shape, context: int) -> int:
    """Operations for one more token after so many."""
    attention = 2 * shape.text_layers * 2 * shape.heads * shape.head_dim * (context + 1)
    return 2 * shape.decode_weights + attention


def decode_bytes(shape: Shape, context: int, batch: int) -> int:
    """Bytes that a step of decoding reads: weights once, keys and values of each image of so many tokens."""
    return shape.decode_weights * NUMBER_BYTES + batch * context * shape.kv_bytes


@dataclass(frozen=True)
class Device:
    """Peak rates: bfloat16 operations a second, bytes of memory a second."""

    name: str
    flops: float
    bytes_per_second: float


@dataclass(frozen=True)
class ImageCost:
    """One image and its text: patches, tokens, operations."""

    patches: int
    prompt_tokens: int
    output_tokens: int
    encoder: int
    prefill: int
    decode: int

    @classmethod
    def of(cls, shape: Shape, patches: int, prompt_tokens: int, output_tokens: int) -> ImageCost:
        """Of an image of so many patches; the prompt's tokens have the image's among them."""
        return cls(
            patches,
            prompt_tokens,
            output_tokens,
            encoder_flops(shape, patches),
            prefill_flops(shape, prompt_tokens),
            # the first token comes with the prompt
            (output_tokens - 1) * decode_flops(shape, prompt_tokens + output_tokens // 2),
        )

    def seconds(self, shape: Shape, device: Device, batch: int) -> tuple[float, float, float]:
        """Seconds an image of encoder, prefill and decoding, where so many images are decoded together."""
        average = self.prompt_tokens + self.output_tokens // 2
        steps = self.output_tokens - 1
        reading = steps * decode_bytes(shape, average, batch) / device.bytes_per_second / batch
        # the slower of computing and reading
        decode = max(reading, self.decode / device.flops)
        return self.encoder / device.flops, self.prefill / device.flops, decode
