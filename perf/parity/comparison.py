"""The two sides held against each other, image by image, and what differences are allowed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from ocrvl.imaging.grid import PixelGrid
from ocrvl.imaging.patches import normalize_patches
from ocrvl.messages import PackedImage
from ocrvl_client import Reading
from perf.parity.engine import EngineView
from perf.parity.reference import FloatArray, ReferenceReading

PATCH_BOUND: Final = 1e-6
"""Normalised pixel values are under 3 in size, where neighbouring float32 numbers are 2.4e-7 apart."""

FEATURE_BOUND: Final = 1e-5
"""Of the largest difference, over the image's largest feature where that is above 1."""

LOGPROB_BOUND: Final = 1e-3

NEAR_TIE: Final = 0.01
"""Two tokens whose log-probabilities are so close may change places by the order of float32 sums alone."""


@dataclass(frozen=True)
class Difference:
    """Where a served text leaves the reference: which token, and how far its runner-up lay under it."""

    token: int
    gap: float
    served: str
    expected: str

    @property
    def is_near_tie(self) -> bool:
        """Whether float32 rounding explains it."""
        return self.gap <= NEAR_TIE


@dataclass(frozen=True)
class Comparison:
    """One image. Differences are the largest absolute ones; `text` is None where the texts are equal.

    `feature_scale` is the largest reference feature in size; `same_counts` says that the served numbers of tokens
    in and out are the reference's, of those out only where the texts are equal.
    """

    name: str
    tokens: int
    same_grid: bool
    same_prompt: bool
    same_counts: bool
    patches: float
    features: float
    feature_scale: float
    logprobs: float
    text: Difference | None

    @property
    def scaled_features(self) -> float:
        """What `FEATURE_BOUND` is about."""
        return self.features / max(1.0, self.feature_scale)


@dataclass(frozen=True)
class Check:
    """A line of the report: what was measured, what it may be (empty where it is only told), whether it is."""

    name: str
    measured: str
    bound: str
    holds: bool


def compare(
    name: str,
    reference: ReferenceReading,
    image: PackedImage,
    grid: PixelGrid,
    view: EngineView,
    served: Reading,
) -> Comparison:
    """Hold what `preprocess`, the engine and the server made of an image against the reference."""
    text = find_difference(reference, served.text)
    outputs_agree = text is not None or served.num_output_tokens == len(reference.tokens)
    return Comparison(
        name=name,
        tokens=len(reference.tokens),
        same_grid=image.grid == reference.grid,
        same_prompt=view.prompt == reference.prompt,
        same_counts=outputs_agree and served.num_input_tokens == len(reference.prompt),
        patches=largest_difference(normalize_patches(image.patches, grid), reference.patches),
        features=largest_difference(view.features, reference.features),
        feature_scale=float(np.abs(reference.features).max()),
        logprobs=largest_difference(view.logprobs, reference.logprobs),
        text=text,
    )


def largest_difference(ours: FloatArray, theirs: FloatArray) -> float:
    """The largest absolute difference of two arrays; infinite where their shapes differ or one has no number."""
    if ours.shape != theirs.shape:
        return float("inf")
    return float(np.nan_to_num(np.abs(ours - theirs), nan=np.inf).max(initial=0))


def find_difference(reference: ReferenceReading, served: str) -> Difference | None:
    """The first token of the reference that the served text does not bear out, None where the texts are equal.

    A character whose bytes are several tokens, cut off before its last one, is U+FFFD in transformers and nothing
    in vLLM: at the end of a text it does not count.
    """
    if _complete(served) == _complete(reference.text):
        return None
    prefixes = enumerate(map(_complete, reference.prefixes))
    # where no token's text is wrong, the served text goes on after the reference's end token
    last = len(reference.tokens) - 1
    token = next((token for token, prefix in prefixes if not served.startswith(prefix)), last)
    return Difference(token, float(reference.gaps[token]), served, reference.text)


def _complete(text: str) -> str:
    return text.rstrip("\N{REPLACEMENT CHARACTER}")


def summarize(comparisons: Sequence[Comparison]) -> list[Check]:
    """The report's lines over all images; of differences the largest."""
    count = len(comparisons)

    def all_of(name: str, holds: Sequence[bool]) -> Check:
        return Check(name, f"{sum(holds)} of {count}", "all", all(holds))

    def largest(name: str, values: Sequence[float], bound: float) -> Check:
        return Check(name, f"{max(values):.1e}", f"{bound:.0e}", max(values) <= bound)

    def told(name: str, measured: str) -> Check:
        return Check(name, measured, "", True)

    texts = [one.text is None or one.text.is_near_tie for one in comparisons]
    equal = sum(one.text is None for one in comparisons)
    return [
        all_of("equal grids", [one.same_grid for one in comparisons]),
        largest("patches", [one.patches for one in comparisons], PATCH_BOUND),
        all_of("equal prompts", [one.same_prompt for one in comparisons]),
        largest("features, over their size", [one.scaled_features for one in comparisons], FEATURE_BOUND),
        told("features", f"{max(one.features for one in comparisons):.1e}"),
        told("largest feature", f"{max(one.feature_scale for one in comparisons):.3g}"),
        largest("log-probabilities", [one.logprobs for one in comparisons], LOGPROB_BOUND),
        told("tokens that have one", f"{sum(one.tokens for one in comparisons)}"),
        Check("equal texts", f"{equal} of {count}", "all but near ties", all(texts)),
        told("near ties", f"{sum(texts) - equal}"),
        all_of("equal token counts", [one.same_counts for one in comparisons]),
    ]
