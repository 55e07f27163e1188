"""`ocrvl.options`, `ocrvl.models.document.options`, `ocrvl.models.layout_options`: what a request asks for, as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress

from ocrvl.errors import InvalidArgument
from ocrvl.models.document.options import DocumentOptions, choose_pages
from ocrvl.models.layout_options import LayoutOptions
from ocrvl.options import Options, parse_object
from stress.fuzz.target import Target

_LONGEST_MESSAGE = 4096
"""Characters. gRPC carries messages in headers, of which clients take 8 KiB."""


def check(data: bytes) -> None:
    """Options are parsed, and parse to the same again from their own JSON; or refused in few words."""
    for kind in (Options, DocumentOptions, LayoutOptions):
        try:
            options = parse_object(kind, data)
        except InvalidArgument as error:
            assert len(error.tagged) <= _LONGEST_MESSAGE, f"a message of {len(error.tagged)} characters"
            continue
        again = parse_object(kind, options.model_dump_json(exclude_defaults=True).encode())
        assert again == options, f"{again} came back for {options}"
        if isinstance(options, DocumentOptions):
            with suppress(InvalidArgument):
                chosen = choose_pages(options.pages, 30, 20)
                assert chosen == sorted(set(chosen))
                assert set(chosen) <= set(range(30))


def seeds() -> Sequence[bytes]:
    """An object with many keys of each kind."""
    objects = (
        {"max_tokens": 9, "temperature": 0.5, "top_p": 0.9, "seed": 1, "stop": ["a"], "timeout_ms": 5, "raw": True},
        {"regex": "[0-9]{4}", "on_error": "keep", "cancel_token": "0123456789abcdef", "prompt": "What?"},
        {"json_schema": {"type": "object", "properties": {"a": {"type": "integer"}}}, "min_pixels": 784},
        {"pages": "1-3,5,8-", "dpi": 72, "vlm_extra_args": {"ocr_min_pixels": 784}, "output_formats": ["docx"]},
        {"use_layout_detection": False, "prompt_label": "table", "markdown_ignore_labels": ["number"]},
        {"layout_threshold": {"0": 0.5}, "layout_unclip_ratio": {"1": [1.0, 2.0]}, "layout_merge_bboxes_mode": "large"},
    )
    return [json.dumps(one).encode() for one in objects]


_KEYS = [*Options.model_fields, *DocumentOptions.model_fields]

TARGET = Target(check, seeds, [f'"{key}":' for key in _KEYS] + ["null", "true", "false", "NaN", "1e999"])
