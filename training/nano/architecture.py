"""What the nano checkpoint is made of: PaddleOCR-VL's configuration made small, and the files beside its weights."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import PaddleOCRVLConfig, PaddleOCRVLForConditionalGeneration

from training.common import checkpoint
from training.common.checkpoint import correct_interpolation
from training.nano.vocabulary import (
    CHARACTERS,
    END_ID,
    FIRST_CHARACTER_ID,
    IMAGE_ID,
    PAD_ID,
    SPECIAL_TOKENS,
    build_tokenizer,
)

MIN_PIXELS = 28 * 28 * 4
MAX_PIXELS = 28 * 28 * 512
"""Pixels after resizing: 4 to 512 visual tokens, so that a line of text need not be blown up to be read."""


def build_config() -> PaddleOCRVLConfig:
    """The configuration: 5.6 M parameters, heads that two tensor-parallel ranks can share."""
    text = {
        "vocab_size": FIRST_CHARACTER_ID + len(CHARACTERS),
        "hidden_size": 256,
        "intermediate_size": 384,
        "num_hidden_layers": 5,
        "num_attention_heads": 8,
        "num_key_value_heads": 2,
        "head_dim": 32,
        "max_position_embeddings": 4096,
        # The width of a grid gets the lowest frequencies (`mrope_section` is time, height, width): with the real
        # model's base of 500,000 and heads this narrow, neighbouring columns would be the same to the decoder.
        "rope_parameters": {"rope_type": "default", "rope_theta": 100.0, "mrope_section": [2, 6, 8]},
        "pad_token_id": PAD_ID,
        "bos_token_id": 1,
        "eos_token_id": END_ID,
        "tie_word_embeddings": True,
        "use_bias": False,
    }
    vision = {
        "hidden_size": 192,
        "intermediate_size": 768,
        "num_hidden_layers": 5,
        "num_attention_heads": 4,
        "image_size": 14 * 16,  # a table of 16 by 16 positions, interpolated to each image's grid
        "patch_size": 14,
        "spatial_merge_size": 2,
    }
    return PaddleOCRVLConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=IMAGE_ID,
        video_token_id=SPECIAL_TOKENS.index("<|video_pad|>"),
        vision_start_token_id=SPECIAL_TOKENS.index("<|IMAGE_START|>"),
        vision_end_token_id=SPECIAL_TOKENS.index("<|IMAGE_END|>"),
        tie_word_embeddings=True,
    )


def build_model(seed: int) -> PaddleOCRVLForConditionalGeneration:
    """A fresh float32 model with random weights from `seed`."""
    torch.manual_seed(seed)
    return correct_interpolation(PaddleOCRVLForConditionalGeneration(build_config()))


def write_checkpoint(model: PaddleOCRVLForConditionalGeneration, folder: Path) -> None:
    """Write weights (bfloat16) and every file beside them that transformers and vLLM read."""
    checkpoint.write_checkpoint(model, folder, build_tokenizer(), (MIN_PIXELS, MAX_PIXELS))
