"""`ocrvl.errors`: messages fit where they are carried."""

from __future__ import annotations

from ocrvl.errors import MAX_MESSAGE_BYTES, InvalidArgument


def test_a_message_fits_into_a_header_of_grpc() -> None:
    tagged = InvalidArgument("中" * 5000).tagged
    assert tagged.endswith("中…")
    assert len(tagged.encode()) < MAX_MESSAGE_BYTES + 20
