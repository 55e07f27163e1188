r"""Formulas that matplotlib's mathtext draws, answered as LaTeX between `\[` and `\]`.

PaddleX puts `$$` in the place of these (`paddlex/inference/pipelines/paddleocr_vl/pipeline.py`, where it cleans each
result). One thing is written in one way: `\frac{a}{b}`, `x^{2}`, `a_{i}`, spaces between the signs.
"""

from __future__ import annotations

import string
from functools import lru_cache
from random import Random
from typing import Any, Final

import numpy as np
from PIL import Image

from training.mini.world.sheet import Sheet

_FONT_SETS: Final = ("cm", "dejavusans", "dejavuserif", "stix", "stixsans")


def _listed(text: str) -> list[str]:
    return text.split()


_GREEK: Final = _listed(
    r"\alpha \beta \gamma \delta \epsilon \theta \lambda \mu \nu \pi \rho \sigma \tau \phi \psi \omega"
)
_CAPITALS: Final = _listed(r"\Gamma \Delta \Theta \Lambda \Sigma \Phi \Psi \Omega")
_RELATIONS: Final = _listed(r"= = = = < > \leq \geq \approx \neq \equiv \in \to")
_SIGNS: Final = _listed(r"+ + - - \cdot \times \pm")
_FUNCTIONS: Final = _listed(r"\sin \cos \tan \log \ln \exp \max \min")
_ACCENTS: Final = _listed(r"\hat \bar \vec \dot \tilde")


class FormulaSource:
    """Draws formulas; the same `rng` state gives the same ones."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng

    def formula(self) -> str:
        """An equation, or an expression alone."""
        parts = [self._sum(2)]
        if self.rng.random() < 0.75:
            parts += [self.rng.choice(_RELATIONS), self._sum(2)]
        return " ".join(parts)

    def _sum(self, depth: int) -> str:
        terms = [self._term(depth)]
        while self.rng.random() < 0.4 and len(terms) < 6:
            terms += [self.rng.choice(_SIGNS), self._term(depth)]
        return " ".join(terms)

    def _term(self, depth: int) -> str:
        rng = self.rng
        pick = rng.random()
        if depth == 0 or pick < 0.35:
            return self._atom()
        if pick < 0.5:
            return rf"\frac{{{self._sum(depth - 1)}}}{{{self._sum(depth - 1)}}}"
        if pick < 0.6:
            return rf"{self._atom()}^{{{self._small()}}}"
        if pick < 0.7:
            return rf"{self._atom()}_{{{self._small()}}}"
        if pick < 0.76:
            return rf"\sqrt{{{self._sum(depth - 1)}}}"
        if pick < 0.84:
            return rf"( {self._sum(depth - 1)} )"
        if pick < 0.9:
            return rf"{rng.choice(_FUNCTIONS)} ( {self._sum(depth - 1)} )"
        if pick < 0.96:
            sign = rng.choice((r"\sum", r"\int", r"\prod"))
            return rf"{sign}_{{{self._small()}}}^{{{self._small()}}} {self._term(depth - 1)}"
        return rf"{rng.choice(_ACCENTS)}{{{self.rng.choice(string.ascii_lowercase)}}}"

    def _atom(self) -> str:
        rng = self.rng
        pick = rng.random()
        if pick < 0.45:
            return rng.choice(string.ascii_lowercase)
        if pick < 0.6:
            return rng.choice(string.ascii_uppercase)
        if pick < 0.75:
            return rng.choice(_GREEK if pick < 0.72 else _CAPITALS)
        return str(rng.randrange(10 ** rng.randint(1, 3)))

    def _small(self) -> str:
        rng = self.rng
        if rng.random() < 0.7:
            letters: list[str] = [*string.ascii_lowercase, *"0123456789", r"\infty"]
            return rng.choice(letters)
        return f"{rng.choice(string.ascii_lowercase)} {rng.choice('+-=')} {rng.randrange(10)}"


def print_formula(sheet: Sheet, rng: Random, most: int) -> str:
    """A formula anywhere on the sheet, of at most `most` characters; its answer."""
    source = FormulaSource(rng)
    for _ in range(8):
        formula = source.formula()
        ink = render_formula(formula, rng.choice(_FONT_SETS), 20) if len(formula) + 6 <= most else None
        if ink is None:
            continue
        largest = min((sheet.width - 4) / ink.width, (sheet.height - 4) / ink.height, 2.0)
        if largest < 0.55:
            continue
        scale = rng.uniform(max(0.55, 0.6 * largest), largest)
        size = round(ink.width * scale), round(ink.height * scale)
        place = rng.randint(1, sheet.width - size[0] - 1), rng.randint(1, sheet.height - size[1] - 1)
        sheet.ink.paste(ink.resize(size, Image.Resampling.BICUBIC), place)
        sheet.are_characters_known = False
        return rf"\[ {formula} \]"
    return ""


def render_formula(formula: str, font_set: str, size: int) -> Image.Image | None:
    """The formula as ink at `size` pixels an em; None where mathtext fails on it."""
    try:
        drawn = _parser().parse(f"${formula}$", dpi=72, prop=_properties(font_set, size))
    except ValueError:
        return None
    return Image.fromarray(np.asarray(drawn.image, np.uint8))


@lru_cache(maxsize=1)
def _parser() -> Any:
    from matplotlib.mathtext import MathTextParser

    return MathTextParser("agg")


@lru_cache(maxsize=16)
def _properties(font_set: str, size: int) -> Any:
    from matplotlib.font_manager import FontProperties

    return FontProperties(size=size, math_fontfamily=font_set)
