"""PaddleOCR-VL-1.6's shapes with random weights: what it costs is the real model's, what it writes is noise.

The folder has no weights at first: vLLM makes them up with `"load_format": "dummy"`, and then texts soon repeat a token
for ever, which callers' default options end. `write_weights` adds weights whose texts do not. Its template is that of
the embedded checkpoint, its tokenizer too, with words of no meaning up to the real vocabulary's size.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from ocrvl.checkpoint import resolve_checkpoint

# https://huggingface.co/PaddlePaddle/PaddleOCR-VL-1.6, config.json and preprocessor_config.json
_TEXT: Final[dict[str, Any]] = {
    "head_dim": 128,
    "hidden_size": 1024,
    "intermediate_size": 3072,
    "max_position_embeddings": 131_072,
    "num_attention_heads": 16,
    "num_hidden_layers": 18,
    "num_key_value_heads": 2,
    "rope_parameters": {"mrope_section": [16, 24, 24], "rope_theta": 500_000.0, "rope_type": "default"},
    "tie_word_embeddings": False,
    "vocab_size": 103_424,
}
_VISION: Final[dict[str, Any]] = {
    "hidden_size": 1152,
    "image_size": 384,
    "intermediate_size": 4304,
    "num_attention_heads": 16,
    "num_hidden_layers": 27,
}
_PIXELS: Final = {"min_pixels": 112_896, "max_pixels": 1_003_520}
_SPREAD: Final = 0.05
_COPIED: Final = ("chat_template.jinja", "generation_config.json", "tokenizer_config.json")


def write_stand_in(folder: Path, *, text: Mapping[str, Any] = _TEXT, vision: Mapping[str, Any] = _VISION) -> Path:
    """Write the checkpoint's files without its weights, with other shapes where asked; returns the folder."""
    nano = resolve_checkpoint("nano", Path())
    folder.mkdir(parents=True, exist_ok=True)
    for name in _COPIED:
        shutil.copy(nano / name, folder / name)
    config = json.loads((nano / "config.json").read_text("utf-8"))
    config["text_config"] |= text
    config["vision_config"] |= vision
    config["tie_word_embeddings"] = config["text_config"]["tie_word_embeddings"]
    (folder / "config.json").write_text(json.dumps(config, indent=2), "utf-8")
    tokenizer = json.loads((nano / "tokenizer.json").read_text("utf-8"))
    words = tokenizer["model"]["vocab"]
    words.update({f" word{number}": number for number in range(len(words), config["text_config"]["vocab_size"])})
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), "utf-8")
    processor = json.loads((nano / "preprocessor_config.json").read_text("utf-8"))
    processor |= _PIXELS
    processor["size"] = {"shortest_edge": _PIXELS["min_pixels"], "longest_edge": _PIXELS["max_pixels"]}
    (folder / "preprocessor_config.json").write_text(json.dumps(processor, indent=2), "utf-8")
    return folder


def write_weights(folder: Path, seed: int = 0) -> None:
    """Write random weights, bfloat16, to a stand-in that has none; on a GPU where there is one.

    Their spread is more than twice what such models begin to be trained with (0.02), so that a token depends on those
    long before it as well, and the text does not run in circles.
    """
    import torch
    from transformers import AutoConfig, AutoModelForImageTextToText

    torch.manual_seed(seed)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"), torch.no_grad():
        model = AutoModelForImageTextToText.from_config(AutoConfig.from_pretrained(folder), dtype=torch.bfloat16)
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.normal_(std=_SPREAD)
    model.save_pretrained(folder)


def main(folder: Annotated[Path, typer.Argument(help="Where to write it.")]) -> None:
    """Write a checkpoint of PaddleOCR-VL-1.6's shapes, with random weights; or weights for one that is there."""
    write_weights(folder if folder.exists() else write_stand_in(folder))
    print(folder)


if __name__ == "__main__":
    typer.run(main)
