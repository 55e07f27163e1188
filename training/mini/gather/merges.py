"""The tokenizer's merges, learned from the prose: done once, since weights belong to their tokens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

from ocrvl.prompts import TASK_PROMPTS
from training.mini.vocabulary import CHARACTERS

_PIECES = 2400
_LONGEST = 7
"""A piece spans few cells of an image, so that a guess is short."""


def learn_merges(path: Path, blocks: Sequence[tuple[str, str]]) -> int:
    """Write merges learned from (language, block) pairs; how many. English counts twice."""
    import json

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r" ?\p{L}+"), "removed", invert=True)
    trainer = trainers.BpeTrainer(
        vocab_size=len(CHARACTERS) + _PIECES,
        initial_alphabet=list(CHARACTERS),
        max_token_length=_LONGEST,
        min_frequency=30,
        show_progress=False,
    )
    counts = Counter(language for language, _ in blocks)
    texts = [block for language, block in blocks for _ in range(2 if language == "en" else 1)]
    prompts = [f"User: {prompt}\nAssistant:\n" for prompt in TASK_PROMPTS.values()] * sum(counts.values())
    tokenizer.train_from_iterator([*texts, *prompts[:20_000]], trainer)
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    lines = [" ".join(part.replace(" ", "⍽") for part in merge) for merge in merges]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return len(lines)
