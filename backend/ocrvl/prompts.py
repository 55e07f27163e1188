"""What is said to the model: a task's prompt in the checkpoint's own chat template, as token ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from ocrvl.errors import InvalidArgument
from ocrvl.wire import Task

TASK_PROMPTS: Final[dict[Task, str]] = {
    Task.OCR: "OCR:",
    Task.TABLE: "Table Recognition:",
    Task.FORMULA: "Formula Recognition:",
    Task.CHART: "Chart Recognition:",
    Task.SEAL: "Seal Recognition:",
    Task.SPOTTING: "Spotting:",
}
"""The prompts the model was trained on (PaddleOCR-VL's model card)."""

_TASKS: Final = {prompt: task for task, prompt in TASK_PROMPTS.items()}

IMAGE_TOKEN: Final = "<|IMAGE_PLACEHOLDER|>"  # noqa: S105 - a token of text
_FALLBACK = f"<|begin_of_sentence|>User: <|IMAGE_START|>{IMAGE_TOKEN}<|IMAGE_END|>{{prompt}}\nAssistant: "
_CACHED_PROMPTS = 256


def find_task(prompt: str) -> Task | None:
    """The task that a prompt stands for; None for a prompt of the caller's own.

    >>> find_task("Table Recognition:"), find_task("What is the total?")
    (<Task.TABLE: 'table'>, None)
    """
    return _TASKS.get(prompt)


@dataclass(frozen=True)
class RenderedPrompt:
    """Token ids before and after the image's tokens."""

    before: tuple[int, ...]
    after: tuple[int, ...]
    image_token_id: int

    def token_ids(self, image_tokens: int) -> list[int]:
        """The whole prompt, with the placeholder repeated once for each merged token of the image."""
        return [*self.before, *[self.image_token_id] * image_tokens, *self.after]


class PromptRenderer:
    """Renders prompts with a checkpoint's tokenizer and chat template; recent prompts are remembered.

    `render` raises `InvalidArgument` for a prompt that holds a control token.
    """

    def __init__(self, checkpoint: Path) -> None:
        from transformers import AutoTokenizer  # seconds to import; only the engine's process needs it

        self._tokenizer: Any = AutoTokenizer.from_pretrained(checkpoint)
        self._image_token_id: int = self._tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)
        self.render = lru_cache(_CACHED_PROMPTS)(self._render)

    def _render(self, prompt: str) -> RenderedPrompt:
        # written out in a caller's prompt they would become control tokens, or a second image
        if written := next((token for token in self._tokenizer.all_special_tokens if token in prompt), None):
            raise InvalidArgument(f"options: prompt: it may not hold the control token {written!r}")
        ids = self._tokenizer.encode(self._chat_text(prompt), add_special_tokens=False)
        place = _only_index(ids, self._image_token_id)
        return RenderedPrompt(tuple(ids[:place]), tuple(ids[place + 1 :]), self._image_token_id)

    def _chat_text(self, prompt: str) -> str:
        if not self._tokenizer.chat_template:
            return _FALLBACK.format(prompt=prompt)
        content = [{"type": "image"}, {"type": "text", "text": prompt}]
        messages = [{"role": "user", "content": content}]
        text: str = self._tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        return text


def _only_index(ids: Sequence[int], token: int) -> int:
    places = [index for index, value in enumerate(ids) if value == token]
    if len(places) != 1:
        raise ValueError(f"the chat template gives {len(places)} image placeholders for one image")
    return places[0]
