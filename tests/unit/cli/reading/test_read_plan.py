"""`ocrvl_cli.reading.read_plan`: how each input is read."""

from __future__ import annotations

from typing import Any

import pytest

from ocrvl.models.document.options import DocumentOptions
from ocrvl.wire import Task
from ocrvl_cli.reading.read_plan import Format, ReadPlan

PDF, PNG = b"%PDF-1.7", b"\x89PNG"
MARKDOWN, HTML, TEXT, JSON = Format.MARKDOWN, Format.HTML, Format.TEXT, Format.JSON


@pytest.mark.parametrize(
    ("plan", "pdf", "png"),
    [
        # as: read page by page, blocks found, formats
        (ReadPlan(), (True, True, (MARKDOWN,)), (False, False, (TEXT,))),
        (ReadPlan(to_files=True), (True, True, (MARKDOWN, JSON)), (True, True, (MARKDOWN, JSON))),
        (ReadPlan(to_files=True, formats=(TEXT,)), (True, True, (TEXT,)), (False, False, (TEXT,))),
        (ReadPlan(formats=(HTML,)), (True, True, (HTML,)), (True, True, (HTML,))),
        (ReadPlan(formats=(JSON,)), (True, True, (JSON,)), (False, False, (JSON,))),
        (ReadPlan(formats=(HTML,), task=Task.TABLE), (True, False, (HTML,)), (False, False, (HTML,))),
        (ReadPlan(layout=True), (True, True, (MARKDOWN,)), (True, True, (MARKDOWN,))),
        (ReadPlan(layout=False), (True, False, (TEXT,)), (False, False, (TEXT,))),
        (ReadPlan(to_files=True, draw=True, formats=(TEXT,)), (True, True, (TEXT,)), (True, True, (TEXT,))),
    ],
)
def test_the_plan_of_a_file_follows_from_the_options_and_its_kind(
    plan: ReadPlan, pdf: tuple[bool, bool, tuple[Format, ...]], png: tuple[bool, bool, tuple[Format, ...]]
) -> None:
    for data, expected in ((PDF, pdf), (PNG, png)):
        one = plan.for_file(data)
        assert (one.document, one.layout, one.formats) == expected
        if one.document:
            # the server knows them all
            DocumentOptions(**plan.document_options(one))


@pytest.mark.parametrize(
    ("plan", "options"),
    [
        (ReadPlan(), {"visualize": False, "return_markdown_images": False}),
        (ReadPlan(to_files=True), {"visualize": True, "return_markdown_images": True}),
        (ReadPlan(to_files=True, draw=False), {"visualize": False, "return_markdown_images": True}),
        (ReadPlan(to_files=True, formats=(JSON,), draw=True), {"visualize": True, "return_markdown_images": False}),
        (ReadPlan(formats=(HTML,)), {"visualize": False, "return_markdown_images": True}),
        (
            ReadPlan(task=Task.TABLE, pages="1-3", options={"dpi": 72}),
            {
                "visualize": False,
                "return_markdown_images": False,
                "use_layout_detection": False,
                "prompt_label": "table",
                "pages": "1-3",
                "dpi": 72,
            },
        ),
    ],
)
def test_a_request_for_a_document_has_only_the_options_that_are_needed(plan: ReadPlan, options: dict[str, Any]) -> None:
    assert plan.document_options(plan.for_file(PDF)) == options


def test_other_plans_have_another_digest() -> None:
    plans = [
        ReadPlan(),
        ReadPlan(pages="1"),
        ReadPlan(options={"dpi": 72}),
        ReadPlan(formats=(HTML,)),
        ReadPlan(task=Task.OCR),
    ]
    assert len({plan.digest for plan in plans}) == len(plans)
    assert ReadPlan(options={"a": 1, "b": 2}).digest == ReadPlan(options={"b": 2, "a": 1}).digest
