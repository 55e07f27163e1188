"""Fonts cut down to the world's characters: some 20 kB each, so that hundreds of them travel."""

from __future__ import annotations

import io
import json
import logging
import re
import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTFont, TTLibError

from training.mini.gather.debian import unpacked
from training.mini.gather.font_packages import FONT_PACKAGES, HELD_OUT_FAMILIES, UNFIT
from training.mini.vocabulary import CHARACTERS, LETTERS

_STYLES = 4
_LICENCE = re.compile(r"^License:\s*(\S.*)$", re.MULTILINE)


@dataclass(frozen=True)
class FoundFont:
    """A font file that prints every letter of the world."""

    path: Path
    package: str
    family: str
    bold: bool
    italic: bool
    characters: str


def gather_fonts(folder: Path, most_bytes: int = 40_000_000) -> int:
    """Write fonts, `fonts.json` and `LICENCES.txt` into `folder`; how many. Needs Debian's registry.

    A family has at most four files: upright and italic, regular and bold. Raises `ValueError` beyond `most_bytes`.
    """
    logging.getLogger("fontTools").setLevel(logging.ERROR)
    folder.mkdir(parents=True, exist_ok=True)
    entries: list[dict[str, object]] = []
    with unpacked(FONT_PACKAGES) as packages:
        for found in _chosen(packages):
            name = f"{len(entries):03d}.{found.path.suffix[1:].lower()}"
            data = cut_down(found.path)
            if data is None:
                continue
            (folder / name).write_bytes(data)
            entries.append(
                {
                    "file": name,
                    "package": found.package,
                    "family": found.family,
                    "bold": found.bold,
                    "italic": found.italic,
                    "held_out": found.family in HELD_OUT_FAMILIES,
                    "characters": found.characters,
                }
            )
        (folder / "LICENCES.txt").write_text(_licences(packages), "utf-8")
    (folder / "fonts.json").write_text(json.dumps(entries, ensure_ascii=False, indent=0) + "\n", "utf-8")
    size = sum(path.stat().st_size for path in folder.iterdir())
    if size > most_bytes:
        raise ValueError(f"{folder} has {size} bytes of fonts, more than {most_bytes}: name fewer packages")
    return len(entries)


def _chosen(packages: Path) -> Iterator[FoundFont]:
    taken: Counter[tuple[str, bool, bool]] = Counter()
    for path in sorted(packages.rglob("*.[to]tf")):
        if not path.is_file():  # a link that leads to another package
            continue
        found = examine(path, path.relative_to(packages).parts[0])
        if found is None or UNFIT.search(found.family):
            continue
        style = (found.family, found.bold, found.italic)
        if not taken[style]:
            taken[style] += 1
            yield found


def examine(path: Path, package: str) -> FoundFont | None:
    """What the file says of itself; None for one that lacks letters, or whose shapes vary."""
    try:
        font = TTFont(path, lazy=True)
        known = font.getBestCmap() or {}
        name, metrics = font["name"], font["OS/2"]
        family, style = name.getBestFamilyName() or "", name.getBestSubFamilyName() or ""
    except (KeyError, TTLibError, AssertionError):
        return None
    if "fvar" in font or UNFIT.search(style) or not all(ord(letter) in known for letter in LETTERS):
        return None
    italic = bool(metrics.fsSelection & 1) or "italic" in style.lower() or "oblique" in style.lower()
    characters = "".join(character for character in CHARACTERS if ord(character) in known)
    return FoundFont(path, package, family, metrics.usWeightClass >= 600, italic, characters)


def cut_down(path: Path) -> bytes | None:
    """The font with the world's characters alone; None for one that is broken."""
    options = subset.Options(layout_features=["kern"], name_IDs=[1, 2], notdef_outline=True, hinting=True)
    options.ignore_missing_unicodes = True
    try:
        font = subset.load_font(str(path), options)
        cutter = subset.Subsetter(options)
        cutter.populate(text=CHARACTERS)
        cutter.subset(font)
        file = io.BytesIO()
        font.save(file)
    except (TTLibError, AssertionError, KeyError, struct.error):
        return None
    return file.getvalue()


def _licences(packages: Path) -> str:
    """A line a package: the licences that its copyright file names."""
    lines = []
    for package in FONT_PACKAGES:
        path = packages / package / "usr/share/doc" / package / "copyright"
        text = path.read_text("utf-8", "replace") if path.is_file() else ""
        named = ", ".join(sorted(set(_LICENCE.findall(text)))) or "see the package's copyright file"
        lines.append(f"{package}: {named}")
    return "\n".join(lines) + "\n"
