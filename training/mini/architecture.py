"""What mini is made of: PaddleOCR-VL's configuration made small, with heads that every kernel of vLLM takes."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import PaddleOCRVLConfig, PaddleOCRVLForConditionalGeneration

from training.common import checkpoint
from training.common.checkpoint import correct_interpolation
from training.common.model import BatchedReader
from training.mini.samples import SLOTS
from training.mini.shapes import MAX_PIXELS, MIN_PIXELS
from training.mini.vocabulary import (
    CHARACTERS,
    END_ID,
    IMAGE_ID,
    PAD_ID,
    SPECIAL_TOKENS,
    build_tokenizer,
    head_ids,
    vocabulary_size,
)


def build_config(hidden: int = 384, layers: tuple[int, int] = (7, 6)) -> PaddleOCRVLConfig:
    """The configuration: 22 M parameters, heads of 64 that two tensor-parallel ranks can share.

    `hidden` is a multiple of 128, `layers` those of the vision encoder and of the decoder: less makes a tiny model for
    tests.
    """
    heads = hidden // 64
    text = {
        "vocab_size": vocabulary_size(),
        "hidden_size": hidden,
        "intermediate_size": 2 * hidden,
        "num_hidden_layers": layers[1],
        "num_attention_heads": heads,
        "num_key_value_heads": 2,
        "head_dim": 64,
        "max_position_embeddings": 4096,
        # The width of a grid gets the lowest frequencies (`mrope_section` is time, height, width): a base of 100 keeps
        # neighbouring columns apart.
        "rope_parameters": {"rope_type": "default", "rope_theta": 100.0, "mrope_section": [4, 12, 16]},
        "pad_token_id": PAD_ID,
        "bos_token_id": 1,
        "eos_token_id": END_ID,
        "tie_word_embeddings": True,
        "use_bias": False,
    }
    vision = {
        "hidden_size": hidden,
        "intermediate_size": hidden * 8 // 3,
        "num_hidden_layers": layers[0],
        "num_attention_heads": heads,
        "image_size": 14 * 24,  # a table of 24 by 24 positions, interpolated to each image's grid
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


def build_reader(seed: int, config: PaddleOCRVLConfig | None = None) -> BatchedReader:
    """A fresh float32 model with random weights from `seed`, and its auxiliary head."""
    torch.manual_seed(seed)
    model = correct_interpolation(PaddleOCRVLForConditionalGeneration(config or build_config()))
    return BatchedReader(model, head_ids(), SLOTS, len(CHARACTERS) + 1)


def write_checkpoint(model: PaddleOCRVLForConditionalGeneration, folder: Path) -> None:
    """Write weights (bfloat16) and every file beside them that transformers and vLLM read."""
    checkpoint.write_checkpoint(model, folder, build_tokenizer(), (MIN_PIXELS, MAX_PIXELS))
