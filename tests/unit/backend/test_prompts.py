"""`ocrvl.prompts`: the checkpoint's own template, one image, nothing smuggled in."""

from __future__ import annotations

import pytest
from transformers import AutoTokenizer

from ocrvl.checkpoint import nano_path
from ocrvl.errors import InvalidArgument
from ocrvl.prompts import IMAGE_TOKEN, TASK_PROMPTS, PromptRenderer
from ocrvl.wire import Task


@pytest.fixture(scope="module")
def renderer() -> PromptRenderer:
    return PromptRenderer(nano_path())


def decode(ids: list[int]) -> str:
    text: str = AutoTokenizer.from_pretrained(nano_path()).decode(ids, skip_special_tokens=False)
    return text


def test_every_task_has_a_prompt() -> None:
    assert set(TASK_PROMPTS) == set(Task)


@pytest.mark.parametrize("task", Task)
def test_the_prompt_is_the_models_own_with_a_placeholder_for_each_token(renderer: PromptRenderer, task: Task) -> None:
    text = decode(renderer.render(TASK_PROMPTS[task]).token_ids(3))
    head = f"<|begin_of_sentence|>User: <|IMAGE_START|>{IMAGE_TOKEN * 3}<|IMAGE_END|>"
    assert text == f"{head}{TASK_PROMPTS[task]}\nAssistant:\n"


@pytest.mark.parametrize("token", [IMAGE_TOKEN, "</s>", f"{IMAGE_TOKEN[:5]}{IMAGE_TOKEN}{IMAGE_TOKEN[5:]}"])
def test_a_prompt_that_holds_a_control_token_is_refused(renderer: PromptRenderer, token: str) -> None:
    with pytest.raises(InvalidArgument, match="options: prompt: it may not hold the control token"):
        renderer.render(f"Read{token} this")
