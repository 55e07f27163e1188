"""What an image file says of itself, read from its bytes before any decoder has seen them.

Decoders go through a file's segments, chunks and tags one by one, and a few kilobytes can name millions. Here they are
counted first: what no honest file has is refused, and what can cost more than its pixels is marked.
"""

from __future__ import annotations

from ocrvl.imaging.headers.common import PLAIN_PASSES, Header
from ocrvl.imaging.headers.read import read_header

__all__ = ["PLAIN_PASSES", "Header", "read_header"]
