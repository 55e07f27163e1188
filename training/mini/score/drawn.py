"""Drawn sets that training never saw, read with transformers in float32, nano beside mini."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from PIL import Image

from ocrvl.prompts import TASK_PROMPTS
from ocrvl.wire import Task
from training.mini.score.measures import measure
from training.mini.world.draw import Drawing, Matter, World
from training.nano.reader import TransformersReader

Reader = Callable[[Task, Sequence[bytes]], Sequence[str]]
"""PNG images to answers of a task, in the same order."""


@dataclass(frozen=True)
class ScoreSet:
    """Images of one task and of one size; `aim` is the share that is hoped for, None where none is."""

    name: str
    task: Task
    size: tuple[int, int]
    images: int
    sizes: tuple[int, int] = (12, 28)
    wear: float = 1.0
    language: str | None = None
    trained_fonts: bool = False
    aim: float | None = None


_LINE, _BLOCK, _COLUMN = (520, 32), (480, 230), (520, 760)

SCORE_SETS = (
    ScoreSet("lines", Task.OCR, _LINE, 100, aim=0.98),
    ScoreSet("lines, fonts of training", Task.OCR, _LINE, 50, trained_fonts=True),
    ScoreSet("lines, 9 to 11 pixels", Task.OCR, (400, 24), 50, sizes=(9, 11)),
    ScoreSet("lines, 29 to 40 pixels", Task.OCR, (700, 56), 50, sizes=(29, 40)),
    ScoreSet("lines, worn three times as much", Task.OCR, _LINE, 50, wear=3.0),
    *(ScoreSet(f"blocks, {name}", Task.OCR, _BLOCK, 20, language=name) for name in ("en", "de", "fr", "es", "it")),
    ScoreSet("columns of up to 40 rows", Task.OCR, _COLUMN, 30, sizes=(12, 20), aim=0.96),
    ScoreSet("tables (TEDS)", Task.TABLE, (560, 300), 40, aim=0.92),
    ScoreSet("formulas (exact)", Task.FORMULA, (360, 80), 100, aim=0.75),
    ScoreSet("charts", Task.CHART, (480, 330), 30),
    ScoreSet("seals", Task.SEAL, (240, 240), 30),
    ScoreSet("spotting (F1 at IoU 0.5)", Task.SPOTTING, (560, 420), 30, aim=0.9),
)
"""Fonts never seen and documents never seen, unless a name says otherwise."""


@dataclass(frozen=True)
class Result:
    """What was right of a set; `misread` pairs truth and answer."""

    chosen: ScoreSet
    right: float
    misread: tuple[tuple[str, str], ...]


def draw_set(chosen: ScoreSet, world: Path, share: float, seed: int) -> list[Drawing]:
    """The images of a set; `share` draws fewer, or more."""
    seen, unseen = Matter.read(world), Matter.read(world, held_out=True)
    families = (seen if chosen.trained_fonts else unseen).families
    prose = unseen.prose
    if chosen.language is not None:
        # not every language has a document that is held out: then one that training saw
        texts = prose.get(chosen.language) or seen.prose.get(chosen.language)
        prose = {chosen.language: texts} if texts else prose
    drawer = World(Random(f"{seed}/{chosen.name}"), Matter(families, prose), chosen.wear, chosen.sizes)
    return [drawer.draw(chosen.task, chosen.size, 600) for _ in range(max(1, round(chosen.images * share)))]


def score_drawn(reader: Reader, world: Path, share: float = 1.0, seed: int = 0) -> list[Result]:
    """Draw every set, have it read, and compare."""
    results = []
    for chosen in SCORE_SETS:
        drawings = draw_set(chosen, world, share, seed)
        read = reader(chosen.task, [_png(drawing) for drawing in drawings])
        truths = [drawing.answer for drawing in drawings]
        misread = tuple((truth, text) for truth, text in zip(truths, read, strict=True) if truth != text)
        results.append(Result(chosen, measure(chosen.task, read, truths), misread))
    return results


def transformers_reader(checkpoint: Path) -> Reader:
    """Reads with transformers, asked as each task is."""

    def read(task: Task, images: Sequence[bytes]) -> Sequence[str]:
        spotting = task is Task.SPOTTING
        return TransformersReader(checkpoint, TASK_PROMPTS[task], 1100, specials=spotting)(images)

    return read


def _png(drawing: Drawing) -> bytes:
    file = io.BytesIO()
    Image.fromarray(drawing.image).save(file, "PNG")
    return file.getvalue()
