"""The nano checkpoint's tokens: a character each, bytes for what is no character of its world; and its prompt."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from tokenizers import AddedToken, Tokenizer, decoders, models

from ocrvl.prompts import TASK_PROMPTS
from ocrvl.wire import Task

SPECIAL_TOKENS = (
    "<unk>",
    "<s>",
    "</s>",
    "<|begin_of_sentence|>",
    "<|end_of_sentence|>",
    "<|IMAGE_PLACEHOLDER|>",
    "<|IMAGE_START|>",
    "<|IMAGE_END|>",
    "<|video_pad|>",
)
"""Their ids are their places here: padding 0, end 2, as PaddleOCR-VL has them."""

PAD_ID, END_ID, IMAGE_ID = 0, 2, SPECIAL_TOKENS.index("<|IMAGE_PLACEHOLDER|>")

CHARACTERS = "\n" + "".join(map(chr, range(32, 127))) + "£€°©×éèüöäñç"
"""What has a token of its own; every other character goes through its UTF-8 bytes."""

FIRST_CHARACTER_ID = len(SPECIAL_TOKENS) + 256
"""Characters are the last tokens of the vocabulary, in the order of `CHARACTERS`."""

PROMPT_HEAD = "<|begin_of_sentence|>User: <|IMAGE_START|>"
"""What stands before an image's tokens."""

OTHER_PROMPTS = tuple(prompt for task, prompt in TASK_PROMPTS.items() if task is not Task.OCR)
"""Asked one time in ten, with the plain text as the answer, so that these tasks give sane output too."""

CHARACTER_IDS = {character: FIRST_CHARACTER_ID + place for place, character in enumerate(CHARACTERS)}
"""The token of each character of the world."""


def prompt_tail(task_prompt: str) -> str:
    """What stands between an image's tokens and the answer; with `PROMPT_HEAD` the chat template's own words."""
    return f"<|IMAGE_END|>{task_prompt}\nAssistant:\n"


def build_tokenizer() -> Tokenizer:
    """One token a character, bytes for what has none; decoding joins bytes to characters again."""
    names = [*SPECIAL_TOKENS, *(f"<0x{byte:02X}>" for byte in range(256)), *CHARACTERS]
    vocabulary = {name: index for index, name in enumerate(names)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], byte_fallback=True, unk_token="<unk>"))
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in SPECIAL_TOKENS])
    return tokenizer


@lru_cache(maxsize=16)
def tail_ids(task_prompt: str) -> tuple[int, ...]:
    """Token ids of the prompt after the image."""
    text = prompt_tail(task_prompt)
    marker = "<|IMAGE_END|>"
    return SPECIAL_TOKENS.index(marker), *encode_text(text.removeprefix(marker))


def encode_text(text: str) -> list[int]:
    """Token ids of a text of the world, all of whose characters have tokens; as the tokenizer gives them."""
    return [CHARACTER_IDS[character] for character in text]


def decode_text(ids: Sequence[int]) -> str:
    """The text up to the end token; what is no character of the world becomes a replacement character."""
    text = []
    for token in ids:
        if token == END_ID:
            break
        text.append(CHARACTERS[token - FIRST_CHARACTER_ID] if token >= FIRST_CHARACTER_ID else "\ufffd")
    return "".join(text)


HEAD_IDS = (
    SPECIAL_TOKENS.index("<|begin_of_sentence|>"),
    *encode_text("User: "),
    SPECIAL_TOKENS.index("<|IMAGE_START|>"),
)
"""Token ids of `PROMPT_HEAD`."""
