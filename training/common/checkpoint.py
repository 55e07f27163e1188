"""The files of a checkpoint of PaddleOCR-VL's architecture, as transformers and vLLM read them."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import PaddleOCRVLForConditionalGeneration, PreTrainedTokenizerFast

END_ID, PAD_ID = 2, 0

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


def load_model(checkpoint: Path) -> PaddleOCRVLForConditionalGeneration:
    """The checkpoint as transformers has it, in float32 on the CPU, position interpolation corrected."""
    return correct_interpolation(PaddleOCRVLForConditionalGeneration.from_pretrained(checkpoint, dtype=torch.float32))


def correct_interpolation(model: PaddleOCRVLForConditionalGeneration) -> PaddleOCRVLForConditionalGeneration:
    """Interpolate the position table as PaddlePaddle's own code and vLLM do; transformers 5.19 aligns corners.

    Not part of what `save_pretrained` keeps: due after every creation and every load.
    """
    model.model.visual.vision_model.embeddings.interpolation_align_corners = False
    return model.eval()


def write_checkpoint(
    model: PaddleOCRVLForConditionalGeneration, folder: Path, tokenizer: Tokenizer, pixels: tuple[int, int]
) -> None:
    """Write weights (bfloat16) and every file beside them; `pixels` are the least and the most of an image."""
    folder.mkdir(parents=True, exist_ok=True)
    copy = PaddleOCRVLForConditionalGeneration(model.config)
    copy.load_state_dict(model.state_dict())
    copy.to(torch.bfloat16).save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)
    write_tokenizer(tokenizer, folder)
    least, most = pixels
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
            "min_pixels": least,
            "max_pixels": most,
            "size": {"shortest_edge": least, "longest_edge": most},
        },
    )
    _write_json(
        folder / "generation_config.json",
        {"bos_token_id": 1, "eos_token_id": END_ID, "pad_token_id": PAD_ID, "do_sample": False, "use_cache": True},
    )


def write_tokenizer(tokens: Tokenizer, folder: Path) -> None:
    """Write `tokenizer.json`, its configuration and the chat template."""
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=tokens,
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
