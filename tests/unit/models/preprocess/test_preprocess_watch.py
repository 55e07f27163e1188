"""`ocrvl.models.preprocess.model`: nobody is worked for who does not wait any more."""

from __future__ import annotations

import time

import pytest

from ocrvl.errors import Cancelled
from ocrvl.models.preprocess.model import Watch


class Caller:
    """A caller who may go, and how often the server was asked about him."""

    def __init__(self, *, gone: bool = False) -> None:
        self.gone = gone
        self.asked = 0

    def is_abandoned(self) -> bool:
        self.asked += 1
        return self.gone


def test_past_its_time_a_request_is_ended() -> None:
    Watch(Caller().is_abandoned, time.monotonic() + 1000).look()
    with pytest.raises(Cancelled, match="its time has passed"):
        Watch(Caller().is_abandoned, time.monotonic()).look()


def test_a_request_whose_caller_has_gone_is_ended_at_the_next_look() -> None:
    watch = Watch(Caller(gone=True).is_abandoned, None, every=0)
    with pytest.raises(Cancelled, match="its caller went away"):
        watch.look()


def test_the_server_is_not_asked_about_the_caller_of_a_request_that_is_soon_done() -> None:
    caller = Caller(gone=True)
    watch = Watch(caller.is_abandoned, None, every=1000)
    for _ in range(64):
        watch.look()
    assert caller.asked == 0
