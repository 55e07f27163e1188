"""The reference reader of the score: transformers' own processor and greedy `generate`, float32, on the CPU."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from transformers import AutoProcessor

from training.nano.architecture import load_model

_BATCH = 16
_MOST_TOKENS = 420


class TransformersReader:
    """Reads PNG images to texts with a checkpoint folder's weights."""

    def __init__(self, checkpoint: Path) -> None:
        self.model = load_model(checkpoint)
        self.processor = AutoProcessor.from_pretrained(checkpoint)
        self.processor.tokenizer.padding_side = "left"
        message = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "OCR:"}]}
        self.prompt: str = self.processor.apply_chat_template([message], add_generation_prompt=True)

    def __call__(self, files: Sequence[bytes]) -> list[str]:
        """The texts, in the order of the files; images of like size are read together."""
        images = [Image.open(io.BytesIO(data)).convert("RGB") for data in files]
        order = sorted(range(len(images)), key=lambda place: images[place].width * images[place].height)
        texts = [""] * len(images)
        for start in range(0, len(order), _BATCH):
            places = order[start : start + _BATCH]
            for place, text in zip(places, self._read([images[place] for place in places]), strict=True):
                texts[place] = text
        return texts

    @torch.no_grad()
    def _read(self, images: list[Image.Image]) -> list[str]:
        inputs = self.processor(images=images, text=[self.prompt] * len(images), padding=True, return_tensors="pt")
        ids = self.model.generate(**inputs, max_new_tokens=_MOST_TOKENS, do_sample=False)
        texts: list[str] = self.processor.batch_decode(ids[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        return texts
