"""Train the checkpoint of `fields`, on one core in half an hour or on a GPU in minutes, resumably.

With one drawing process the seed fixes everything: the weights are the same wherever and in however many parts they
are trained, but for what the processor rounds.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any, Final

from tokenizers import Tokenizer

from training.fields.architecture import train_tokenizer
from training.fields.composer import Composer
from training.fields.feeder import Feeder
from training.fields.locales import LOCALES
from training.fields.texts import ReceiptTexts
from training.fields.trainer import Plan, Trainer
from training.nano.texts import Split, read_words

_TOKENIZER: Final = "tokenizer.json"
_TOKENIZER_RECEIPTS: Final = 6000


def train(plan: Plan, state: Path) -> None:
    """Train until the part's or the training's end, resuming from `state` where there is one."""
    words = read_words(Split.TRAINING, plan.words)
    tokenizer = _tokenizer(state, words, plan.seed)
    trainer = Trainer(plan)
    if (state / "state.pt").is_file():
        trainer.load(state)
    feeder = Feeder(words, tokenizer, f"{plan.seed}/{trainer.steps}", plan.workers, plan.batch)
    print(f"{sum(p.numel() for p in trainer.model.parameters())} parameters, at step {trainer.steps}")
    began = time.monotonic()
    try:
        while trainer.steps < min(plan.until, plan.steps):
            trainer.step(feeder.take())
            if trainer.steps % plan.report_steps == 0:
                print(f"{trainer.report()} after {time.monotonic() - began:.0f} s")
            if trainer.steps % plan.save_steps == 0:
                trainer.save(state)
        trainer.save(state)
    finally:
        feeder.stop()


def _tokenizer(state: Path, words: list[str], seed: int) -> Any:
    """The vocabulary that `state` has, or one that is trained and written there."""
    path = state / _TOKENIZER
    if not path.is_file():
        state.mkdir(parents=True, exist_ok=True)
        train_tokenizer(_texts(words, seed)).save(str(path))
    return Tokenizer.from_file(str(path))


def _texts(words: list[str], seed: int) -> Iterator[list[str]]:
    """The words of composed receipts."""
    rng = Random(f"{seed}/vocabulary")
    for _ in range(_TOKENIZER_RECEIPTS):
        texts = ReceiptTexts(rng, words, Split.TRAINING, rng.choice(LOCALES))
        rows = Composer(rng, texts, Split.TRAINING).compose()
        yield [word for row in rows for cell in row.cells for word, _ in cell.tokens]
