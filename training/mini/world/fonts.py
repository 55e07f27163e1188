"""The fonts that were gathered, at any size."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any

from training.nano.fonts import Face


@dataclass(frozen=True)
class Font:
    """A font file and what it prints."""

    path: Path
    family: str
    bold: bool
    italic: bool
    characters: frozenset[str]

    def prints(self, text: str) -> bool:
        """Whether it has all characters of a text."""
        return self.characters.issuperset(text)

    def at(self, size: int) -> Face:
        """The font at so many pixels an em."""
        return _load(self.path, size)


@dataclass(frozen=True)
class Family:
    """The fonts of one family: at least one."""

    fonts: tuple[Font, ...]

    def pick(self, rng: Random, *, bold: bool = False, italic: bool = False) -> Font:
        """The font of that style, or the nearest that the family has."""
        return min(self.fonts, key=lambda font: ((font.bold is not bold) + (font.italic is not italic), rng.random()))

    def any(self, rng: Random) -> Font:
        """A font of running text: regular twice in three times."""
        style = rng.random()
        return self.pick(rng, bold=style > 0.8, italic=0.66 < style < 0.9)


class FontsMissing(RuntimeError):
    """No fonts were gathered; the message names the command."""


def read_families(folder: Path, *, held_out: bool) -> list[Family]:
    """The families that training draws with, or those that it never sees; raises `FontsMissing`."""
    index = folder / "fonts.json"
    if not index.is_file():
        raise FontsMissing(f"{index} not found: python -m training mini gather")
    fonts: dict[str, list[Font]] = {}
    entries: list[dict[str, Any]] = json.loads(index.read_text("utf-8"))
    for entry in entries:
        if entry["held_out"] is held_out:
            characters = frozenset(entry["characters"]) | {"\n", " "}
            font = Font(folder / entry["file"], entry["family"], entry["bold"], entry["italic"], characters)
            fonts.setdefault(font.family, []).append(font)
    return [Family(tuple(members)) for _, members in sorted(fonts.items())]


def family_of(paths: Sequence[Path], characters: str) -> Family:
    """A family of font files that print these characters."""
    known = frozenset(characters)
    fonts = [Font(path, paths[0].stem, "Bold" in path.stem, "Italic" in path.stem, known) for path in paths]
    return Family(tuple(fonts))


@lru_cache(maxsize=3000)
def _load(path: Path, size: int) -> Face:
    return Face(path, size)
