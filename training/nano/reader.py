"""The reference reader of the score: transformers' own processor and greedy `generate`, float32, on the CPU."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from transformers import AutoProcessor

from training.common.checkpoint import load_model

_BATCH = 16


class TransformersReader:
    """Reads PNG images to texts with a checkpoint folder's weights.

    `prompt` is what is asked; with `specials` places are kept in the texts.
    """

    def __init__(
        self, checkpoint: Path, prompt: str = "OCR:", most_tokens: int = 420, *, specials: bool = False
    ) -> None:
        self.most_tokens, self.specials = most_tokens, specials
        self.model = load_model(checkpoint)
        self.processor = AutoProcessor.from_pretrained(checkpoint)
        self.processor.tokenizer.padding_side = "left"
        message = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": prompt}]}
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
        ids = self.model.generate(**inputs, max_new_tokens=self.most_tokens, do_sample=False)
        answers = ids[:, inputs["input_ids"].shape[1] :]
        texts: list[str] = self.processor.batch_decode(answers, skip_special_tokens=not self.specials)
        return [text.partition("</s>")[0] for text in texts]
