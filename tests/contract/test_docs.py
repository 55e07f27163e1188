"""What the documentation lists is what the code has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ocrvl.hop import Reading, encode_done
from ocrvl.options import Options
from ocrvl.wire import Model, Task, Tensor
from ocrvl_client._messages import READ_OUTPUTS

REQUESTS = Path("docs/requests.md").read_text("utf-8")


def named_in_rows(text: str, pattern: str) -> set[str]:
    """The names in backquotes in the first column of table rows that match."""
    rows = [line for line in text.splitlines() if re.match(pattern, line)]
    return {name for row in rows for name in re.findall(r"`([\w]+)`", row.split("|")[1])}


def test_every_option_is_in_the_table_and_no_other() -> None:
    _, _, table = REQUESTS.partition("## Options")
    assert named_in_rows(table, r"\| `") == set(Options.model_fields)


@pytest.mark.parametrize(
    ("model", "taken", "sent"),
    [
        (Model.OCR, {Tensor.IMAGE, Tensor.TASK, Tensor.OPTIONS}, set(READ_OUTPUTS)),
        (Model.STREAM, set(), set(encode_done(Reading(0)))),
        (Model.CANCEL, {Tensor.CANCEL_TOKEN}, {Tensor.CANCELLED}),
    ],
)
def test_every_tensor_of_a_door_is_in_its_table(model: Model, taken: set[Tensor], sent: set[Tensor]) -> None:
    _, _, section = REQUESTS.partition(f"\n## `{model}`\n")
    section, _, _ = section.partition("\n## ")
    assert named_in_rows(section, r"\| in ") == taken
    assert named_in_rows(section, r"\| out ") == sent


def test_every_task_is_named() -> None:
    row = next(line for line in REQUESTS.splitlines() if line.startswith("| in `task`"))
    assert set(re.findall(r"`(\w+)`", row)) == {*Task, "task"}


def test_the_links_of_the_documentation_lead_somewhere() -> None:
    for page in [Path("README.md"), Path("CONTRIBUTING.md"), *Path("docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text("utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page}: {target}"
