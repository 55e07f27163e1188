"""The texts that are printed: prose of five languages, and what no prose has: numbers, codes, invented words."""

from __future__ import annotations

import lzma
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random

from training.mini.world.fonts import Font
from training.nano.texts import TextSource

_SHARES = {"en": 0.6, "de": 0.1, "fr": 0.1, "es": 0.1, "it": 0.1}


class ProseMissing(RuntimeError):
    """No prose was gathered; the message names the command."""


def read_prose(path: Path, *, held_out: bool) -> dict[str, list[str]]:
    """Blocks of text by language: those that training draws from, or those that it never sees."""
    if not path.is_file():
        raise ProseMissing(f"{path} not found: python -m training mini gather")
    wanted = "held-out" if held_out else "training"
    blocks: dict[str, list[str]] = {}
    for line in lzma.decompress(path.read_bytes()).decode().split("\n"):
        language, split, block = line.split("\t", 2)
        if split == wanted:
            blocks.setdefault(language, []).append(block)
    return blocks


class Prose:
    """Draws texts; the same `rng` state gives the same texts."""

    def __init__(self, rng: Random, blocks: Mapping[str, Sequence[str]]) -> None:
        self.rng = rng
        self.blocks = blocks
        self.languages = [language for language in _SHARES if blocks.get(language)]
        self.shares = [_SHARES[language] for language in self.languages]
        self.source = TextSource(rng, ["and", *self._some_words(2000)])

    def block(self) -> str:
        """A block of prose as it was written."""
        (language,) = self.rng.choices(self.languages, self.shares)
        return self.rng.choice(self.blocks[language])

    def words(self, count: int) -> list[str]:
        """So many words, or nearly: a stretch of prose, or one of five times what cannot be guessed."""
        if self.rng.random() < 0.2:
            return self.source.line().split()[:count] or ["0"]
        words = self.block().split()
        start = self.rng.randrange(max(1, len(words) - count + 1))
        return words[start : start + count]

    def phrase(self, least: int, most: int) -> str:
        """A few words on one line."""
        return " ".join(self.words(self.rng.randint(least, most)))

    def running(self, characters: int) -> list[str]:
        """Words of about so many characters: a stretch of one document's blocks, one time in ten random tokens."""
        rng, words, length = self.rng, [], 0
        guessable = rng.random() < 0.85
        while length < characters:
            piece = self.block() if guessable else self.source.line()
            words += piece.split()
            length += len(piece) + 1
        return words

    def label(self) -> str:
        """One to three words, as a cell or a legend has them."""
        return self.phrase(1, 3)[:24].strip()

    def number(self) -> str:
        """A number as tables have it."""
        rng = self.rng
        kind = rng.random()
        if kind < 0.3:
            return str(rng.randrange(10 ** rng.randint(1, 5)))
        if kind < 0.6:
            return f"{rng.uniform(0, 10 ** rng.randint(0, 4)):.{rng.randint(1, 3)}f}"
        if kind < 0.75:
            return f"{rng.uniform(0, 100):.1f}%"
        if kind < 0.85:
            return f"{rng.randrange(1000, 10_000_000):,}"
        return self.source.token()

    def _some_words(self, count: int) -> list[str]:
        words = [self.rng.choice(self.block().split()) for _ in range(count if self.languages else 0)]
        return [word for word in words if word.isalpha() and 2 <= len(word) <= 14]


def printable(text: str, font: Font) -> str:
    """The text without what a font has no glyph for."""
    if font.prints(text):
        return text
    return " ".join("".join(character for character in text if character in font.characters).split())
