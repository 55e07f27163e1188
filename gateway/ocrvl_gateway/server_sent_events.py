"""Answers as server-sent events whose data is JSON."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from fastapi.responses import StreamingResponse
from fastapi.sse import format_sse_event


def event_stream_response(events: AsyncGenerator[bytes, None]) -> StreamingResponse:
    """Encoded events as they come; no cache and no proxy holds them back."""
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    return StreamingResponse(events, headers=headers, media_type="text/event-stream")


def encode_event(data: Mapping[str, Any], name: str | None = None) -> bytes:
    """One event; without a name it has data alone."""
    return format_sse_event(data_str=json.dumps(data), event=name)
