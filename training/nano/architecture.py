"""What the nano checkpoint is made of: PaddleOCR-VL's configuration made small, and the files beside its weights."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from transformers import PaddleOCRVLConfig, PaddleOCRVLForConditionalGeneration, PreTrainedTokenizerFast

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


_CHAT_TEMPLATE = """\
{{- "<|begin_of_sentence|>" -}}
{%- for message in messages -%}
    {%- if message["role"] == "user" -%}
        {{- "User: " -}}
        {%- if message["content"] is string -%}
            {{- message["content"] -}}
        {%- else -%}
            {%- for content in message["content"] -%}
                {%- if content["type"] in ("image", "image_url") -%}
                    {{- "<|IMAGE_START|><|IMAGE_PLACEHOLDER|><|IMAGE_END|>" -}}
                {%- endif -%}
            {%- endfor -%}
            {%- for content in message["content"] -%}
                {%- if content["type"] == "text" -%}
                    {{- content["text"] -}}
                {%- endif -%}
            {%- endfor -%}
        {%- endif -%}
        {{- "\\n" -}}
    {%- elif message["role"] == "assistant" -%}
        {{- "Assistant:\\n" -}}
        {%- if message["content"] is string -%}
            {{- message["content"] -}}
        {%- else -%}
            {%- for content in message["content"] -%}
                {%- if content["type"] == "text" -%}
                    {{- content["text"] -}}
                {%- endif -%}
            {%- endfor -%}
        {%- endif -%}
        {{- "</s>" -}}
    {%- elif message["role"] == "system" -%}
        {{- message["content"] + "\\n" -}}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{- "Assistant:\\n" -}}
{%- endif -%}
"""


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


def load_model(checkpoint: Path) -> PaddleOCRVLForConditionalGeneration:
    """The checkpoint as transformers has it, in float32 on the CPU, position interpolation corrected."""
    return correct_interpolation(PaddleOCRVLForConditionalGeneration.from_pretrained(checkpoint, dtype=torch.float32))


def correct_interpolation(model: PaddleOCRVLForConditionalGeneration) -> PaddleOCRVLForConditionalGeneration:
    """Interpolate the position table as PaddlePaddle's own code and vLLM do; transformers 5.19 aligns corners.

    Not part of what `save_pretrained` keeps: due after every creation and every load.
    """
    model.model.visual.vision_model.embeddings.interpolation_align_corners = False
    return model.eval()


def write_checkpoint(model: PaddleOCRVLForConditionalGeneration, folder: Path) -> None:
    """Write weights (bfloat16) and every file beside them that transformers and vLLM read."""
    folder.mkdir(parents=True, exist_ok=True)
    copy = PaddleOCRVLForConditionalGeneration(model.config)
    copy.load_state_dict(model.state_dict())
    copy.to(torch.bfloat16).save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)
    write_tokenizer(folder)
    _write_json(
        folder / "preprocessor_config.json",
        {
            "processor_class": "PaddleOCRVLProcessor",
            "image_processor_type": "PaddleOCRVLImageProcessor",
            "do_convert_rgb": True,
            "do_resize": True,
            "do_rescale": True,
            "do_normalize": True,
            "resample": 3,
            "rescale_factor": 1 / 255,
            "image_mean": [0.5, 0.5, 0.5],
            "image_std": [0.5, 0.5, 0.5],
            "patch_size": 14,
            "temporal_patch_size": 1,
            "merge_size": 2,
            # The same limits twice: transformers 4 reads the first spelling, transformers 5 both.
            "min_pixels": MIN_PIXELS,
            "max_pixels": MAX_PIXELS,
            "size": {"shortest_edge": MIN_PIXELS, "longest_edge": MAX_PIXELS},
        },
    )
    _write_json(
        folder / "generation_config.json",
        {"bos_token_id": 1, "eos_token_id": END_ID, "pad_token_id": PAD_ID, "do_sample": False, "use_cache": True},
    )


def write_tokenizer(folder: Path) -> None:
    """Write `tokenizer.json`, its configuration and the chat template."""
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=build_tokenizer(),
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="<unk>",
        cls_token="<|begin_of_sentence|>",
        extra_special_tokens={"image_token": "<|IMAGE_PLACEHOLDER|>"},
        clean_up_tokenization_spaces=False,
        model_max_length=4096,
        padding_side="left",
    )
    tokenizer.save_pretrained(folder)
    (folder / "chat_template.jinja").write_text(_CHAT_TEMPLATE, "utf-8")
    path = folder / "tokenizer_config.json"
    settings = json.loads(path.read_text("utf-8"))
    settings["tokenizer_class"] = "PreTrainedTokenizerFast"  # the name that transformers 4 and 5 both know
    settings["processor_class"] = "PaddleOCRVLProcessor"
    _write_json(path, settings)


def _write_json(path: Path, content: dict[str, object]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", "utf-8")
