"""How well a reader reads the nano checkpoint's world, and what lies beyond it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from training.common.measure import character_score, edit_distance
from training.nano.fonts import OTHER_FONTS
from training.nano.texts import Split, read_words
from training.nano.world import Drawing, Look, World

Reader = Callable[[Sequence[bytes]], Sequence[str]]
"""PNG images to their texts, in the same order."""


@dataclass(frozen=True)
class ScoreSet:
    """Images of one kind: `lines` single lines and `receipts` receipts of 4 to 8 rows, looking as `look` says."""

    name: str
    look: Look
    lines: int
    receipts: int
    promised: bool = False


SCORE_SETS = (
    ScoreSet("its world", Look(), 200, 100, promised=True),
    ScoreSet("its world, not worn", Look(wear=0), 50, 20),
    ScoreSet("other fonts", Look(fonts=OTHER_FONTS), 50, 20),
    ScoreSet("12 to 14 pixels", Look(sizes=(12, 14)), 50, 20),
    ScoreSet("28 to 36 pixels", Look(sizes=(28, 36)), 50, 20),
    ScoreSet("worn three times as much", Look(wear=3), 50, 20),
)
"""The first is what the checkpoint is trained for; the others are measured and told, not promised."""

TARGETS = {"lines": 0.95, "receipts": 0.90}
"""The share of characters that must be right in the checkpoint's world."""


@dataclass(frozen=True)
class Score:
    """What was read of one kind of images: `right` as `measure.character_score`, `whole` the share without error."""

    name: str
    kind: str
    images: int
    characters: int
    right: float
    whole: float
    misread: tuple[tuple[str, str], ...]

    @property
    def reaches_target(self) -> bool:
        """Whether as many characters are right as the checkpoint must read in its world."""
        return self.right >= TARGETS[self.kind]


def score(reader: Reader, share: float = 1.0, seed: int = 0, words: Sequence[str] | None = None) -> list[Score]:
    """Draw every set from words that training never saw, have it read, and compare.

    `share` draws fewer (or more) images of each set. Needs the word list of `texts.read_words` unless `words` are
    given.
    """
    words = read_words(Split.HELD_OUT) if words is None else words
    scores = []
    for chosen in SCORE_SETS:
        world = World(Random(f"{seed}/{chosen.name}"), words, chosen.look)
        lines = [world.line() for _ in range(round(chosen.lines * share))]
        receipts = [world.receipt(lines=world.rng.randint(4, 8)) for _ in range(round(chosen.receipts * share))]
        scores.append(_compare(chosen.name, "lines", lines, reader))
        scores.append(_compare(chosen.name, "receipts", receipts, reader))
    return scores


def _compare(name: str, kind: str, drawings: Sequence[Drawing], reader: Reader) -> Score:
    read = reader([drawing.png() for drawing in drawings])
    truths = [drawing.text for drawing in drawings]
    misread = tuple((truth, text) for truth, text in zip(truths, read, strict=True) if edit_distance(text, truth))
    return Score(
        name=name,
        kind=kind,
        images=len(drawings),
        characters=sum(map(len, truths)),
        right=character_score(read, truths),
        whole=1 - len(misread) / max(1, len(drawings)),
        misread=misread,
    )


def format_table(scores: Sequence[Score]) -> str:
    """The scores as a table in Markdown."""
    lines = [
        "| images | kind | number | characters | right | without any error |",
        "| --- | --- | --: | --: | --: | --: |",
        *(
            f"| {score.name} | {score.kind} | {score.images} | {score.characters} "
            f"| {score.right:.2%} | {score.whole:.1%} |"
            for score in scores
        ),
    ]
    return "\n".join(lines)


_BEGIN, _END = "<!-- score: written by `python -m training nano score --write-card` -->", "<!-- end of score -->"


def write_card(card: Path, scores: Sequence[Score]) -> None:
    """Replace the table in a checkpoint's card; raises `ValueError` where the card has no place for it."""
    text = card.read_text("utf-8")
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not (begin and end):
        raise ValueError(f"{card} has no lines {_BEGIN!r} and {_END!r} to write the score between")
    card.write_text(f"{before}{begin}\n{format_table(scores)}\n{end}{after}", "utf-8")
