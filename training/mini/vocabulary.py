"""Mini's tokens: pieces of words, characters, bytes, and PaddleOCR-VL's own for places and for tables.

The pieces are merges of `merges.txt`, learned once from the prose; digits and marks stay single. Places and tables are
written as PaddleX reads them (`paddlex/inference/pipelines/paddleocr_vl/uilts.py`: `LOC_ITEM_RE`,
`otsl_extract_tokens_and_text`). Places are special tokens, as the real tokenizer has them: whoever spots asks to keep
those (`skip_special_tokens`). Tables' tokens are plain ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

from training.nano.vocabulary import PROMPT_HEAD, prompt_tail
from training.nano.vocabulary import SPECIAL_TOKENS as CONTROL_TOKENS

PAD_ID, END_ID, IMAGE_ID = 0, 2, CONTROL_TOKENS.index("<|IMAGE_PLACEHOLDER|>")

PLACE_TOKENS = tuple(f"<|LOC_{place}|>" for place in range(1001))
"""Thousandths of an image's width or height."""

SPECIAL_TOKENS = (*CONTROL_TOKENS, *PLACE_TOKENS)

TABLE_TOKENS = ("<fcel>", "<ecel>", "<lcel>", "<ucel>", "<xcel>", "<nl>")

LETTERS = (
    "".join(map(chr, range(33, 127)))
    + "ÀÂÄÇÈÉÊËÎÏÔÖÙÛÜàâäæçèéêëîïôöœùûüß"  # French and German
    + "ÁÍÓÚÑáíóúñ¿¡ÌÒìò"  # Spanish and Italian
)
"""What every font of the world prints."""

CHARACTERS = "\n " + LETTERS + "Œ“”‘’„«»–—…•·£€§©®°±×÷½¼²³µ†→≤≥≠∞"
"""What has a token of its own; every other character goes through its UTF-8 bytes."""

MERGES_FILE = Path(__file__).with_name("merges.txt")

WORDS_PATTERN = r" ?\p{L}+|\n|."
"""What is cut apart before merging: words with the space before them, and single characters."""


def read_merges() -> list[tuple[str, str]]:
    """The merges in their order; a space within a piece is written as an open box."""
    pairs = [line.split(" ") for line in MERGES_FILE.read_text("utf-8").splitlines()]
    return [(left.replace("⍽", " "), right.replace("⍽", " ")) for left, right in pairs]


@lru_cache(maxsize=1)
def build_tokenizer() -> Tokenizer:
    """The tokenizer; decoding joins pieces and bytes to text again."""
    merges = read_merges()
    pieces = list(dict.fromkeys(left + right for left, right in merges))
    names = [*SPECIAL_TOKENS, *(f"<0x{byte:02X}>" for byte in range(256)), *TABLE_TOKENS, *CHARACTERS, *pieces]
    vocabulary = {name: index for index, name in enumerate(names)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, byte_fallback=True, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(WORDS_PATTERN), "isolated")
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in SPECIAL_TOKENS])
    tokenizer.add_tokens([AddedToken(name, special=False, normalized=False) for name in TABLE_TOKENS])
    return tokenizer


@lru_cache(maxsize=1)
def vocabulary_size() -> int:
    """How many tokens there are."""
    return int(build_tokenizer().get_vocab_size())


def encode_text(text: str) -> list[int]:
    """Token ids of an answer or a prompt, its places and cells written out."""
    ids: list[int] = build_tokenizer().encode(text, add_special_tokens=False).ids
    return ids


def decode_text(ids: Sequence[int]) -> str:
    """The answer up to the end token, places written out."""
    kept = list(ids)
    if END_ID in kept:
        kept = kept[: kept.index(END_ID)]
    text: str = build_tokenizer().decode(kept, skip_special_tokens=False)
    return text


@lru_cache(maxsize=16)
def tail_ids(task_prompt: str) -> tuple[int, ...]:
    """Token ids of the prompt after the image."""
    return tuple(encode_text(prompt_tail(task_prompt)))


@lru_cache(maxsize=1)
def head_ids() -> tuple[int, ...]:
    """Token ids before the image."""
    return tuple(encode_text(PROMPT_HEAD))


CHARACTER_CLASSES = {character: place for place, character in enumerate(CHARACTERS, 1)}
"""The auxiliary head's class of each character."""
