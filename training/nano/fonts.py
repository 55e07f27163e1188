"""The fonts of the nano checkpoint's world, and where Debian has them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from PIL import ImageFont


@dataclass(frozen=True)
class FontFile:
    """A font by its file name, and the Debian package that brings it."""

    file: str
    package: str


def _dejavu(style: str) -> FontFile:
    return FontFile(f"DejaVu{style}.ttf", "fonts-dejavu-core")


def _liberation(style: str) -> FontFile:
    return FontFile(f"Liberation{style}.ttf", "fonts-liberation")


WORLD_FONTS = (
    _dejavu("Sans"),
    _dejavu("Sans-Bold"),
    _dejavu("SansMono"),
    _dejavu("Serif"),
    _liberation("Sans-Regular"),
    _liberation("Sans-Bold"),
    _liberation("Serif-Regular"),
    _liberation("Serif-Bold"),
    _liberation("Mono-Regular"),
    _liberation("Mono-Bold"),
)
"""What the checkpoint is trained on."""

OTHER_FONTS = (
    _dejavu("Serif-Bold"),
    _dejavu("SansMono-Bold"),
    _liberation("Sans-Italic"),
    _liberation("Serif-Italic"),
    _liberation("SansNarrow-Regular"),
)
"""What training never sees: scored, never promised."""


class FontMissing(RuntimeError):
    """A font file is not on this machine; the message names the package that has it."""


class Face:
    """A font at one size, which knows where each character of a text stands.

    `size` is the em in pixels. Lengths are pixels, of Pillow's basic layout: the same with and without libraqm.
    """

    def __init__(self, path: Path, size: int) -> None:
        self.font = ImageFont.truetype(str(path), size, layout_engine=ImageFont.Layout.BASIC)
        self.size = size
        self._lengths: dict[str, float] = {}

    def edges(self, text: str) -> list[float]:
        """Where each character begins and the last one ends: len(text) + 1 offsets from the text's left."""
        edges, x = [0.0], 0.0
        for left, right in zip(text, [*text[1:], ""], strict=False):
            # A pair's length less that of its right half is the left one's advance, kerning included.
            x += self._length(left + right) - (self._length(right) if right else 0.0)
            edges.append(x)
        return edges

    def width(self, text: str) -> float:
        """How far the text reaches from its left."""
        return self.edges(text)[-1]

    def fitted(self, text: str, width: float) -> str:
        """The longest beginning of `text` no wider than `width`, without spaces at its end."""
        edges = self.edges(text)
        count = len(text)
        while count and edges[count] > width:
            count -= 1
        return text[:count].rstrip()

    def _length(self, text: str) -> float:
        length = self._lengths.get(text)
        if length is None:
            length = self._lengths[text] = self.font.getlength(text)
        return length


@lru_cache(maxsize=512)
def load_face(font: FontFile, size: int) -> Face:
    """The font at `size` pixels; raises `FontMissing` where its package is not installed."""
    path = find_font(font)
    if path is None:
        raise FontMissing(f"{font.file} is not installed: apt-get install {font.package}")
    return Face(path, size)


def find_font(font: FontFile) -> Path | None:
    """Where it is on this machine; None where its package is not installed."""
    return _installed_fonts().get(font.file)


@lru_cache(maxsize=1)
def _installed_fonts() -> dict[str, Path]:
    """File name to path; `NANO_FONTS` names a folder to use in place of the system's."""
    folder = Path(os.environ.get("NANO_FONTS", "/usr/share/fonts"))
    return {path.name: path for path in sorted(folder.rglob("*.ttf"))}
