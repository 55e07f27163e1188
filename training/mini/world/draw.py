"""The world of one process: draws a block for a task on a sheet of a given size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
import numpy.typing as npt

from ocrvl.wire import Task
from training.mini.world import blanks, charts, formulas, pages, seals, spotting, tables
from training.mini.world.fonts import Family, read_families
from training.mini.world.prose import Prose, read_prose
from training.mini.world.sheet import Placed, Sheet
from training.mini.world.wear import finish, stains

_CHARACTERS_A_TOKEN = 2.2
"""Of prose: fewer than are printed on average, so that answers seldom outgrow their room."""


@dataclass(frozen=True)
class Drawing:
    """An image, uint8 [height, width, 3], the task it is shown with and the answer.

    `characters` are those printed, by line and then from the left; None where they are not told.
    """

    image: npt.NDArray[np.uint8]
    task: Task
    answer: str
    characters: Sequence[Placed] | None


@dataclass(frozen=True)
class Matter:
    """What is drawn with: fonts and prose."""

    families: Sequence[Family]
    prose: Mapping[str, Sequence[str]]

    @classmethod
    def read(cls, folder: Path, *, held_out: bool = False) -> Matter:
        """What `gather` wrote: the part that trains, or the part that only scores."""
        return cls(
            read_families(folder / "fonts", held_out=held_out), read_prose(folder / "prose.txt.xz", held_out=held_out)
        )


class World:
    """Draws images; the same `rng` state gives the same ones.

    `wear` scales noise, blur and JPEG loss; `sizes` are the least and the largest em in pixels.
    """

    def __init__(self, rng: Random, matter: Matter, wear: float = 1.0, sizes: tuple[int, int] = (9, 40)) -> None:
        self.rng = rng
        self.families = matter.families
        self.prose = Prose(rng, matter.prose)
        self.wear = wear
        self.sizes = sizes

    def draw(self, task: Task, size: tuple[int, int], most: int) -> Drawing:
        """An image of `size` (width, height) whose answer has about `most` tokens at most."""
        sheet = Sheet(*size, self.sizes)
        answer = self._print(sheet, task, most)
        stain = self.rng.choice(stains()) if task is Task.SEAL else None
        known = sheet.characters if sheet.are_characters_known else None
        return Drawing(finish(sheet.ink, self.rng, self.wear, stain), task, answer, known)

    def draw_nothing(self, size: tuple[int, int]) -> Drawing:
        """An image without text, shown with any task; its answer is empty."""
        sheet = Sheet(*size)
        answer = blanks.print_nothing(sheet, self.rng)
        return Drawing(finish(sheet.ink, self.rng, self.wear), self.rng.choice(list(Task)), answer, ())

    def _print(self, sheet: Sheet, task: Task, most: int) -> str:
        family = self.rng.choice(self.families)
        characters = round(most * _CHARACTERS_A_TOKEN)
        match task:
            case Task.TABLE:
                return tables.print_table(sheet, self.prose, family, characters)
            case Task.FORMULA:
                return formulas.print_formula(sheet, self.rng, round(0.9 * most))
            case Task.CHART:
                return charts.print_chart(sheet, self.prose, family)
            case Task.SEAL:
                return seals.print_seal(sheet, self.prose, family)
            case Task.SPOTTING:
                return spotting.print_spots(sheet, self.prose, family, most)
            case _ if sheet.height <= 84 and (sheet.height <= 28 or self.rng.random() < 0.5):
                return pages.print_line(sheet, self.prose, family)
            case _:
                return pages.print_block(sheet, self.prose, family, characters)


def pick_task(rng: Random, rows: int, columns: int) -> Task:
    """Which task an image of so many cells is drawn for."""
    fitting: dict[Task, float] = {Task.OCR: 0.6}
    if rows <= 6 and columns >= 4:
        fitting[Task.FORMULA] = 0.16 if rows > 1 else 0.06
    if rows >= 4 and columns >= 6:
        fitting |= {Task.TABLE: 0.14, Task.SPOTTING: 0.1}
    if rows >= 8 and columns >= 8:
        fitting[Task.CHART] = 0.08
    if 4 <= rows <= 16 and columns <= 2 * rows:
        fitting[Task.SEAL] = 0.06
    return rng.choices(list(fitting), list(fitting.values()))[0]
