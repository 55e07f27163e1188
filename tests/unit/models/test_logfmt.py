"""`ocrvl.models.logfmt`: a request is one line of the log."""

from __future__ import annotations

from ocrvl.models.logfmt import quote_value


def test_a_request_s_id_does_not_make_lines_of_the_log() -> None:
    assert "\n" not in quote_value("a\nrequest request_id=b outcome=ok")
