"""What is served is what transformers says, to float32 rounding; `python -m perf parity` shows the differences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from ocrvl.engine_settings import SETTINGS_FILE, EngineSettings
from ocrvl.imaging.patches import normalize_patches
from ocrvl.launcher.locate import find_model_repository
from ocrvl.launcher.server import TritonServer
from ocrvl.messages import PackedImage
from ocrvl.wire import FinishReason, Model, Task
from ocrvl_client import Reading
from perf.parity.comparison import (
    FEATURE_BOUND,
    LOGPROB_BOUND,
    PATCH_BOUND,
    Comparison,
    compare,
    find_difference,
    summarize,
)
from perf.parity.engine import EngineView
from perf.parity.images import draw_samples
from perf.parity.reference import ReferenceReading
from perf.parity.run import compare_samples

# reading 28 images with transformers, then starting an engine
pytestmark = pytest.mark.timeout(600)

MAX_TOKENS = 48
SETTINGS = EngineSettings.from_file(find_model_repository() / Model.ENGINE / "1" / SETTINGS_FILE)


@pytest.fixture(scope="module")
def comparisons(server: TritonServer) -> list[Comparison]:
    return compare_samples(draw_samples(SETTINGS.grid, seed=1), SETTINGS, server.grpc_url, MAX_TOKENS)


def test_every_text_is_the_references_or_leaves_it_at_a_near_tie(comparisons: Sequence[Comparison]) -> None:
    assert len(comparisons) >= 24
    assert [one for one in comparisons if one.text and not one.text.is_near_tie] == []


def test_prompts_and_token_counts_are_the_references(comparisons: Sequence[Comparison]) -> None:
    assert [one.name for one in comparisons if not (one.same_prompt and one.same_counts)] == []


def test_grids_and_patches_are_the_references(comparisons: Sequence[Comparison]) -> None:
    assert [one.name for one in comparisons if not one.same_grid or one.patches > PATCH_BOUND] == []


def test_vision_features_are_the_references(comparisons: Sequence[Comparison]) -> None:
    assert max(one.scaled_features for one in comparisons) <= FEATURE_BOUND


def test_log_probabilities_of_the_references_tokens_are_the_references(comparisons: Sequence[Comparison]) -> None:
    assert max(one.logprobs for one in comparisons) <= LOGPROB_BOUND


# That the comparison itself can fail, on an image of four patches whose text is "abc".

IMAGE = PackedImage(0, np.arange(4 * 588, dtype=np.uint8).reshape(4, 588), (1, 2, 2), Task.OCR)
REFERENCE = ReferenceReading(
    patches=normalize_patches(IMAGE.patches, SETTINGS.grid),
    grid=(1, 2, 2),
    features=np.full((1, 8), 4, np.float32),
    prompt=[3, 5, 4],
    tokens=[10, 11, 12, 2],
    logprobs=np.full(4, -1, np.float32),
    gaps=np.array([3, 0.005, 2, 1], np.float32),
    prefixes=["a", "ab", "abc", "abc"],
)
VIEW = EngineView(REFERENCE.features, REFERENCE.prompt, REFERENCE.logprobs)
READING = Reading("abc", FinishReason.STOP, num_input_tokens=3, num_output_tokens=4)


def compare_one(
    reference: ReferenceReading = REFERENCE, view: EngineView = VIEW, reading: Reading = READING
) -> Comparison:
    return compare("one", reference, IMAGE, SETTINGS.grid, view, reading)


def broken(comparison: Comparison) -> list[str]:
    return [check.name for check in summarize([comparison]) if not check.holds]


@pytest.mark.parametrize(
    ("served", "token", "near_tie"),
    [("axc", 1, True), ("a", 1, True), ("xbc", 0, False), ("abx", 2, False), ("abcd", 3, False), ("", 0, False)],
)
def test_a_text_that_differs_is_traced_to_its_first_token(served: str, token: int, near_tie: bool) -> None:
    difference = find_difference(REFERENCE, served)
    assert difference is not None
    assert (difference.token, difference.is_near_tie) == (token, near_tie)


def test_a_character_cut_off_at_the_end_is_no_difference() -> None:
    reference = replace(REFERENCE, prefixes=["a", "ab", "ab\N{REPLACEMENT CHARACTER}"], tokens=[10, 11, 12])
    assert find_difference(reference, "ab") is None
    assert find_difference(reference, "a") is not None


def test_equal_sides_break_nothing() -> None:
    assert broken(compare_one()) == []


@pytest.mark.parametrize(
    ("comparison", "names"),
    [
        (compare_one(view=replace(VIEW, features=VIEW.features + 1e-4)), ["features, over their size"]),
        (compare_one(view=replace(VIEW, features=VIEW.features[:, :4])), ["features, over their size"]),
        (compare_one(view=replace(VIEW, logprobs=VIEW.logprobs * np.nan)), ["log-probabilities"]),
        (compare_one(view=replace(VIEW, prompt=[3, 5, 5])), ["equal prompts"]),
        (compare_one(reference=replace(REFERENCE, patches=REFERENCE.patches + 1e-5)), ["patches"]),
        (compare_one(reference=replace(REFERENCE, grid=(1, 4, 1))), ["equal grids"]),
        (compare_one(reading=replace(READING, num_output_tokens=3)), ["equal token counts"]),
        (compare_one(reading=replace(READING, num_input_tokens=4)), ["equal token counts"]),
        (compare_one(reading=replace(READING, text="abd")), ["equal texts"]),
    ],
)
def test_a_broken_bound_is_named(comparison: Comparison, names: list[str]) -> None:
    assert broken(comparison) == names
