"""`ocrvl.vllm_plugin.repetition`: texts end where vLLM ends them, though they are looked at less often."""

from __future__ import annotations

from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
import vllm.v1.core.sched.utils as vllm_utils
from vllm.sampling_params import RepetitionDetectionParams, SamplingParams
from vllm.v1.core.sched.async_scheduler import AsyncScheduler
from vllm.v1.core.sched.scheduler import Scheduler

from ocrvl.vllm_plugin import repetition, scheduler
from ocrvl.vllm_plugin.repetition import SparseRepetition

DETECTION = RepetitionDetectionParams(max_pattern_size=24, min_pattern_size=8, min_count=6)


class SparseScheduler(SparseRepetition, Scheduler):  # type: ignore[misc, unused-ignore]
    """Of vLLM's, what adds tokens to a request."""


class Request(SimpleNamespace):
    """A request as a scheduler sees it while it generates."""

    def __init__(self, max_tokens: int = 10_000) -> None:
        params = SamplingParams(max_tokens=max_tokens, repetition_detection=DETECTION)
        super().__init__(sampling_params=params, pooling_params=None, output_token_ids=[], max_tokens=max_tokens)
        self.status = self.stop_reason = None

    @property
    def num_output_tokens(self) -> int:
        return len(self.output_token_ids)

    @property
    def num_tokens(self) -> int:
        return len(self.output_token_ids)

    def append_output_token_ids(self, token: int) -> None:
        self.output_token_ids.append(token)


def generate(cls: Any, tokens: list[int], at_once: int = 1, max_tokens: int = 10_000) -> tuple[int, Any]:
    """How many tokens a text gets, and why it ends; so many come with each step."""
    made = cls.__new__(cls)
    made.max_model_len = 100_000
    request = Request(max_tokens)
    for start in range(0, len(tokens), at_once):
        _, stopped = made._update_request_with_output(request, tokens[start : start + at_once])
        if stopped:
            break
    return request.num_output_tokens, request.status


def text(before: int, pattern: int, count: float, seed: int = 0) -> list[int]:
    """Words that do not repeat, a pattern that comes so many times, and words again."""
    random = Random(seed)
    words = [random.randrange(1000, 100_000) for _ in range(before + 60)]
    repeated = (list(range(pattern)) * 99)[: round(pattern * count)]
    return words[:before] + repeated + words[before:]


@pytest.mark.parametrize("at_once", [1, 3, 8])
@pytest.mark.parametrize("pattern", [7, 8, 11, 16, 24, 25])
def test_a_text_ends_at_the_token_where_vllm_ends_it_wherever_it_begins_to_repeat(pattern: int, at_once: int) -> None:
    for before in range(40):
        for count in (5.9, 6, 8, 20):
            tokens = text(before, pattern, count)
            assert generate(SparseScheduler, tokens, at_once) == generate(Scheduler, tokens, at_once), (before, count)


def test_a_text_of_one_token_ends_where_vllm_ends_it() -> None:
    tokens = [1, 2, 3, *[7] * 200]
    assert generate(SparseScheduler, tokens) == generate(Scheduler, tokens)
    assert generate(Scheduler, tokens)[0] < 60


def test_a_text_that_is_too_long_as_it_repeats_ends_for_its_length() -> None:
    tokens = text(20, 8, 20)
    assert generate(SparseScheduler, tokens, max_tokens=40) == generate(Scheduler, tokens, max_tokens=40)


@pytest.mark.parametrize("at_once", [1, 8])
def test_a_text_that_does_not_repeat_is_looked_at_once_in_sixteen_tokens(
    monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    looked: list[int] = []

    def look(tokens: Any, params: Any) -> bool:
        looked.append(len(tokens))
        return bool(own(tokens, params))

    own = vllm_utils.check_sequence_repetition
    monkeypatch.setattr(vllm_utils, "check_sequence_repetition", look)
    monkeypatch.setattr(repetition, "check_sequence_repetition", look)
    generate(SparseScheduler, text(1000, 8, 1), at_once)
    assert len(looked) == pytest.approx(1068 / 16, abs=2)


def test_the_plugins_scheduler_is_one_of_these_where_vllm_has_what_it_takes() -> None:
    for own in (Scheduler, AsyncScheduler):
        assert scheduler._sparse(own).__mro__[1:3] == (SparseRepetition, own)
    assert scheduler._sparse(Request) is Request


def test_what_a_request_asks_for_is_as_it_was_afterwards() -> None:
    sparse = SparseScheduler.__new__(SparseScheduler)
    sparse.max_model_len = 100_000
    request = Request()
    for token in range(40):
        sparse._update_request_with_output(request, [token])
        assert request.sampling_params.repetition_detection is DETECTION
