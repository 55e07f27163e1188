"""What transformers makes of an image: patches, features, tokens with their log-probabilities, text."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from transformers import AutoProcessor, PaddleOCRVLForConditionalGeneration
from transformers.models.paddleocr_vl.image_processing_pil_paddleocr_vl import PaddleOCRVLImageProcessorPil

from ocrvl.prompts import TASK_PROMPTS
from ocrvl.wire import Task
from training.common.checkpoint import load_model

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class ReferenceReading:
    """One image through transformers, greedily. P patches, F merged visual tokens, T generated tokens.

    patches       float32 [P, 3, patch, patch], normalised
    grid          (1, rows, columns) in patches
    features      float32 [F, hidden]: the projector's output, what the decoder is given for the image
    prompt        token ids before the first generated one, one placeholder a visual token
    tokens        T generated ids, the end token included where it was reached
    logprobs      float32 [T]: of each generated token, given the prompt and those before it
    gaps          float32 [T]: how far the runner-up's log-probability lies under it
    prefixes      T texts: what the first 1, 2, ... T tokens say, special tokens left out
    """

    patches: FloatArray
    grid: tuple[int, int, int]
    features: FloatArray
    prompt: list[int]
    tokens: list[int]
    logprobs: FloatArray
    gaps: FloatArray
    prefixes: list[str]

    @property
    def text(self) -> str:
        """The whole text."""
        return self.prefixes[-1]


class Reference:
    """A checkpoint in transformers: its own classes in float32, images prepared by its PIL processor.

    The position table is interpolated as PaddlePaddle's code does it (`training.common.checkpoint.load_model`).
    """

    def __init__(self, checkpoint: Path) -> None:
        self._model: PaddleOCRVLForConditionalGeneration = load_model(checkpoint)
        self._processor = AutoProcessor.from_pretrained(checkpoint)
        # where torchvision is installed, the automatic choice is its processor, whose resizing differs
        self._processor.image_processor = PaddleOCRVLImageProcessorPil.from_pretrained(checkpoint)
        content = [{"type": "image"}, {"type": "text", "text": TASK_PROMPTS[Task.OCR]}]
        self._chat: str = self._processor.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
        )

    def read(self, data: bytes, max_tokens: int) -> ReferenceReading:
        """Read an image from its encoded bytes, at most `max_tokens` tokens."""
        image = Image.open(io.BytesIO(data)).convert("RGB")
        inputs = self._processor(images=[image], text=[self._chat], return_tensors="pt")
        with torch.inference_mode():
            looked = self._model.model.get_image_features(inputs["pixel_values"], inputs["image_grid_thw"])
            answer = self._model.generate(
                **inputs,
                max_new_tokens=max_tokens,
                # whatever the checkpoint's own generation_config.json says
                do_sample=False,
                num_beams=1,
                repetition_penalty=1.0,
                return_dict_in_generate=True,
                output_logits=True,
            )
        prompt = inputs["input_ids"][0].tolist()
        tokens = answer.sequences[0, len(prompt) :].tolist()
        logprobs = torch.cat(answer.logits).float().log_softmax(-1)
        best = logprobs.topk(2).values
        return ReferenceReading(
            patches=inputs["pixel_values"].numpy(),
            grid=tuple(inputs["image_grid_thw"][0].tolist()),
            features=looked.pooler_output[0].numpy(),
            prompt=prompt,
            tokens=tokens,
            logprobs=logprobs.gather(1, torch.tensor(tokens)[:, None])[:, 0].numpy(),
            gaps=(best[:, 0] - best[:, 1]).numpy(),
            prefixes=[self._decode(tokens[: count + 1]) for count in range(len(tokens))],
        )

    def _decode(self, tokens: list[int]) -> str:
        text: str = self._processor.tokenizer.decode(
            tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return text
