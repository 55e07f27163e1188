"""`ocrvl.models.preprocess.watch`: no request is worked on that nobody waits for any more."""

from __future__ import annotations

import pytest

from ocrvl.errors import Cancelled
from ocrvl.models.preprocess.watch import Watch
from tests.support.doubles import request_of


def test_past_its_time_a_request_is_ended() -> None:
    Watch(request_of(timeout=1000)).check()
    with pytest.raises(Cancelled, match="timeout_ms has passed"):
        Watch(request_of(timeout=0)).check()


def test_a_request_whose_caller_has_gone_is_ended_at_the_next_check() -> None:
    request = request_of()
    request.call.is_gone = True
    with pytest.raises(Cancelled, match="its caller went away"):
        Watch(request, every=0).check()


def test_the_server_is_not_asked_about_the_caller_of_a_request_that_is_soon_done() -> None:
    request = request_of()
    request.call.is_gone = True
    watch = Watch(request, every=1000)
    for _ in range(64):
        watch.check()
    assert request.call.looks == 0
