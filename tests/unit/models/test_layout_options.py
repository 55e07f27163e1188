"""`ocrvl.models.layout_options`: what callers may set, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ocrvl.errors import InvalidArgument
from ocrvl.models.layout_options import LayoutOptions
from ocrvl.options import parse_object


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"layout_treshold": 1}, "unknown key 'layout_treshold'"),
        ({"layout_threshold": 1.5}, "layout_threshold"),
        ({"layout_threshold": {"25": 0.5}}, "layout_threshold"),
        ({"layout_merge_bboxes_mode": "biggest"}, "layout_merge_bboxes_mode"),
        ({"layout_unclip_ratio": [1.0]}, "layout_unclip_ratio"),
    ],
)
def test_options_that_cannot_be_are_refused_by_name(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidArgument, match=reason):
        parse_object(LayoutOptions, json.dumps(options).encode())


def test_options_are_read_from_json() -> None:
    raw = {
        "layout_threshold": {"0": 0.5},
        "layout_unclip_ratio": [1.0, 1.1],
        "layout_merge_bboxes_mode": {"3": "large"},
    }
    options = parse_object(LayoutOptions, json.dumps(raw).encode())
    assert (options.layout_threshold, options.layout_unclip_ratio) == ({0: 0.5}, (1.0, 1.1))
